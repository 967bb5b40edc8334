"""The only place that counts what a rule sets off by itself, stops it when that is too much, and tells people."""

from dataclasses import replace
from datetime import datetime

from django.db.models import Count, Q

from actions import escalation_plans, outbox
from actions.models import Action
from actions.states import DeliveryKind
from incidents.models import Incident
from safety import blast_radius, gate, rules
from safety.blast_radius import Rule
from safety.gatefacts import Blast
from safety.limit_models import RulePause
from safety.ruletypes import BlastRadius


def of_action(action: Action, facts: gate.Facts, *, now: datetime) -> Blast | None:
    """How its rule stands, were this one to start; None where people or a campaign set it off.

    Exact while the tenant's turn is held.
    """
    if facts.campaign or facts.is_approved:
        return None
    incident = _incident(action)
    rule, radius = _rule(incident)
    standing = blast_radius.standing(action.tenant_id, rule, now=now)
    blast = Blast(str(rule), standing.paused, radius.max_actions_per_hour, radius.max_runs_per_hour)
    if standing.paused or not (blast.max_actions or blast.max_runs):
        return blast
    begun = Action.objects.for_tenant(action.tenant_id).filter(
        rule=str(rule), started_at__gt=standing.since
    )
    counted = begun.aggregate(
        actions=Count("pk", filter=~Q(pk=action.pk)),
        runs=Count("run", filter=~Q(run=action.run_id), distinct=True),
    )
    return replace(blast, actions=counted["actions"], runs=counted["runs"])


def at_start(action: Action, facts: gate.Facts, *, now: datetime) -> Blast | None:
    """The same, with the consequence: a rule that would go beyond its radius is paused there and then.

    The action keeps its rule's name: that is what is counted.
    """
    blast = of_action(action, facts, now=now)
    if action.started_at is None:
        action.rule = blast.rule if blast else ""
    if blast is None or blast.paused or not blast.is_full:
        return blast
    incident = _incident(action)
    rule, _ = _rule(incident)
    row = blast_radius.pause(action.tenant_id, rule, reason=blast.why, now=now)
    if row is not None:
        _tell(row, incident, now=now)
    return replace(blast, paused=blast.why)


def _incident(action: Action) -> Incident:
    """As the facts have just read it."""
    incident: Incident | None = action.incident
    assert incident is not None, "only retries are counted, and each has an incident"
    return incident


def _rule(incident: Incident) -> tuple[Rule, BlastRadius]:
    known = rules.overrides(incident.tenant_id)
    rule = blast_radius.rule_of(
        error_code=incident.error_code, category=incident.category, known=known
    )
    said = blast_radius.in_force(incident.tenant_id, rule, category=incident.category, known=known)
    return rule, said.blast_radius


def _tell(row: RulePause, incident: Incident, *, now: datetime) -> None:
    """Everybody who may act: it stops until one of them looks."""
    text = (
        f"{row.reason} It was about to retry {incident}.\n\n"
        "Its retries wait for approval from now on. When it is right to go on by itself, an admin resumes it in the"
        " administration under Rule pauses; when it is not, change the rule first.\n"
    )
    for person in escalation_plans.everybody(tenant_id=row.tenant_id):
        outbox.tell(
            tenant_id=row.tenant_id,
            kind=DeliveryKind.NOTICE,
            target=person,
            subject=f"Rule paused: {row.rule}",
            text=text,
            dedupe_key=f"rule paused:{row.pk}:{person.pk}",
            incident=incident,
            now=now,
        )
