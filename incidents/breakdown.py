"""The only place that asks how the incidents of a list divide: by value, and by the hour of their events."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet, Sum

from incidents.hours import hour_of
from incidents.models import Incident, IncidentHour

COUNTED = 10_000  # incidents, the latest: what is rarer than that is found by its name
N_HOURS = 48

# what a query's key divides by
COLUMNS = {
    "severity": "severity",
    "status": "status",
    "assignee": "assignee__username",
    "vendor": "vendor__name",
    "workflow": "workflow__slug",
    "category": "category",
    "code": "error_code",
}
BySeverity = dict[tuple[datetime, str], int]  # hour and severity -> events


@dataclass(frozen=True)
class Divided:
    """How often each value of a key occurs; None where an incident has none."""

    counts: dict[str, Counter[str | None]]
    n_counted: int
    is_more: bool


def divide(rows: QuerySet[Incident]) -> Divided:
    """One query: the latest rows are read and counted here, each key in one pass."""
    latest = rows.order_by("-last_seen_at", "-id")[: COUNTED + 1]
    found: list[tuple[Any, ...]] = list(latest.values_list(*COLUMNS.values()))
    columns = zip(*found[:COUNTED], strict=True) if found else [()] * len(COLUMNS)
    counts = {key: Counter(values) for key, values in zip(COLUMNS, columns, strict=True)}
    return Divided(counts, min(len(found), COUNTED), len(found) > COUNTED)


def by_hour(tenant_id: UUID, rows: QuerySet[Incident], *, now: datetime) -> BySeverity:
    """Events of the last hours. Only incidents seen since then have any, so only their hours are looked up."""
    since = hour_of(now) - timedelta(hours=N_HOURS - 1)
    active = rows.filter(last_seen_at__gte=since, is_storm=False)
    ids = active.order_by("-last_seen_at", "-id").values("pk")[:COUNTED]
    mine = IncidentHour.objects.for_tenant(tenant_id).filter(incident__in=ids, hour__gte=since)
    summed = mine.order_by().values_list("hour", "incident__severity").annotate(n=Sum("n_events"))
    return {(hour, severity): n for hour, severity, n in summed}
