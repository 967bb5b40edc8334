"""The only place that takes down what people say it was and what fixed it, and gives it to analysis to learn from."""

from datetime import datetime
from uuid import UUID

from django.db.models import F

from incidents.analysis import bayes
from incidents.analysis.bayes import Model
from incidents.analysis.facts import Facts
from incidents.models import CategoryLabel, Decision, FixMark, Incident
from safety.rulefields import CATEGORIES
from tenants import journal
from tenants.journal import Actor

LEARNS_FROM = 500  # the latest labels; what people said years ago is forgotten


class UnknownCategory(ValueError):
    """No rule is about a category of this name."""


class NothingDecided(Exception):
    """Nobody can say whether it worked."""


def confirm(incident: Incident, category: str, *, by: Actor, now: datetime) -> CategoryLabel:
    """Say what it was: the incident is of that category from here on, and failures like it are guessed so.

    Raises UnknownCategory.
    """
    if category not in CATEGORIES:
        raise UnknownCategory(category)
    before = incident.category
    label = CategoryLabel(
        tenant_id=incident.tenant_id,
        incident=incident,
        category=category,
        features=list(bayes.features(_facts(incident), rule=_rule(incident))),
        created_at=now,
        created_by=by.label,
    )
    label.save(force_insert=True)
    mine = Incident.objects.for_tenant(incident.tenant_id).filter(pk=incident.pk)
    mine.update(category=category, version=F("version") + 1)
    incident.refresh_from_db(fields=["category", "version"])
    journal.record(incident, "category_confirmed", by=by, at=now, before=before, after=category)
    return label


def mark(incident: Incident, *, worked: bool, note: str, by: Actor, now: datetime) -> FixMark:
    """Say whether what was chosen last fixed it. Raises NothingDecided."""
    mine = Decision.objects.for_tenant(incident.tenant_id).filter(incident=incident)
    choice = mine.order_by("-id").values_list("choice", flat=True).first()
    if choice is None:
        raise NothingDecided(f"Nothing is decided about {incident} yet: there is nothing to judge.")
    row = FixMark(
        tenant_id=incident.tenant_id,
        incident=incident,
        choice=choice,
        worked=worked,
        note=note,
        created_at=now,
        created_by=by.label,
    )
    row.save(force_insert=True)
    marked = Incident.objects.for_tenant(incident.tenant_id).filter(pk=incident.pk)
    marked.update(version=F("version") + 1)
    verb = "fix_confirmed" if worked else "fix_denied"
    journal.record(incident, verb, by=by, at=now, choice=choice, note=note)
    return row


def learned(tenant_id: UUID) -> Model:
    """What the tenant's labels teach: of each incident the newest."""
    mine = CategoryLabel.objects.for_tenant(tenant_id).order_by("-id")
    newest: dict[UUID, tuple[bayes.Features, str]] = {}
    rows = mine.values_list("incident_id", "features", "category")[:LEARNS_FROM]
    for incident_id, features, category in rows:
        newest.setdefault(incident_id, (tuple(map(str, features)), category))
    return bayes.train(list(newest.values()))


def _facts(incident: Incident) -> Facts:
    """What the incident's own signature says; its title stands for the message."""
    said = {str(name): str(value) for name, value in incident.signature_components}
    return Facts(
        event_type=said.get("event_type", ""),
        error_code=incident.error_code,
        error_message=incident.title,
        vendor=said.get("vendor", ""),
        step=said.get("step", ""),
        status="",
        workflow=said.get("workflow", ""),
    )


def _rule(incident: Incident) -> str:
    return str(incident.classification.get("rule", ""))
