"""The only place that holds what was found against what people said of it, and lists what they said."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from incidents.analysis import calibration
from incidents.analysis.calibration import Forecast, Group
from incidents.models import CategoryLabel, Decision, FixMark, Incident

LATEST = 500  # labels; older ones say little about the engine of today
SHOWN = 25
ASKED = 10  # incidents nobody has said anything of

# Of each incident the newest label, against the decision that was in force when it was given.
_FORECASTS = """
select distinct on (label.incident_id) decided.category, decided.confidence, decided.category = label.category
from (
  select id, incident_id, category, created_at from incidents_categorylabel
  where tenant_id = %(tenant)s order by id desc limit %(latest)s
) as label
cross join lateral (
  select category, confidence from incidents_decision
  where tenant_id = %(tenant)s and incident_id = label.incident_id and created_at <= label.created_at
  order by id desc limit 1
) as decided
order by label.incident_id, label.id desc
"""


@dataclass(frozen=True)
class Reliability:
    """`brier` is None while nobody has confirmed or corrected anything."""

    n: int
    brier: float | None
    right: float | None
    by_confidence: tuple[Group, ...]
    by_category: tuple[Group, ...]


@dataclass(frozen=True)
class Feedback:
    """One thing somebody said."""

    at: datetime
    by: str
    incident: Incident
    says: str


def of(tenant_id: UUID) -> Reliability:
    found = _forecasts(tenant_id)
    right = sum(one.was_right for one in found) / len(found) if found else None
    return Reliability(
        n=len(found),
        brier=calibration.brier(found),
        right=None if right is None else round(right, 4),
        by_confidence=calibration.by_confidence(found),
        by_category=calibration.by_category(found),
    )


def said(tenant_id: UUID) -> list[Feedback]:
    """What people said lately, the newest first."""
    labels = CategoryLabel.objects.for_tenant(tenant_id).select_related("incident")
    marks = FixMark.objects.for_tenant(tenant_id).select_related("incident")
    lines = [_of_label(row) for row in labels.order_by("-id")[:SHOWN]]
    lines += [_of_mark(row) for row in marks.order_by("-id")[:SHOWN]]
    return sorted(lines, key=lambda line: line.at, reverse=True)[:SHOWN]


def unsaid(tenant_id: UUID) -> Sequence[Incident]:
    """The latest decided incidents whose category nobody has confirmed: a word about them teaches most."""
    labelled = CategoryLabel.objects.for_tenant(tenant_id).values("incident_id")
    uncertain = (
        Decision.objects.for_tenant(tenant_id).filter(confidence__lt=1).values("incident_id")
    )
    mine = Incident.objects.for_tenant(tenant_id).filter(is_storm=False, decided_at__isnull=False)
    unsure = mine.filter(pk__in=uncertain).exclude(pk__in=labelled)
    return list(unsure.order_by("-last_seen_at", "-id")[:ASKED])


def _forecasts(tenant_id: UUID) -> list[Forecast]:
    with connection.cursor() as cursor:
        cursor.execute(_FORECASTS, {"tenant": tenant_id, "latest": LATEST})
        return [Forecast(*row) for row in cursor.fetchall()]


def _of_label(row: CategoryLabel) -> Feedback:
    says = f"it was {row.category.replace('_', ' ')}"
    return Feedback(row.created_at, row.created_by, row.incident, says)


def _of_mark(row: FixMark) -> Feedback:
    says = f"{row.choice} {'fixed it' if row.worked else 'did not fix it'}"
    return Feedback(row.created_at, row.created_by, row.incident, f"{says}. {row.note}".strip())
