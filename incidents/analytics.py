"""The only place that measures how fast incidents were seen and closed, and which failures are noisy."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Sum

from incidents.models import Incident

NOISY_SHOWN = 10

# Undone acknowledgements and those whose time ran out count too: somebody had looked.
_ACKNOWLEDGED = """
with lines as materialized (
  select subject_id::uuid as incident_id, at from tenants_journalentry
  where tenant_id = %(tenant)s and verb = 'acknowledged' and subject_type = 'incident' and at >= %(since)s
), firsts as (
  select incident.id, min(lines.at) - incident.opened_at as took
  from lines join incidents_incident incident
    on incident.tenant_id = %(tenant)s and incident.id = lines.incident_id
  where incident.opened_at >= %(since)s and lines.at >= incident.opened_at
  group by incident.id, incident.opened_at
)
select count(*), avg(took), percentile_disc(0.5) within group (order by took) from firsts
"""
_RESOLVED = """
select count(*), avg(resolved_at - opened_at),
  percentile_disc(0.5) within group (order by resolved_at - opened_at)
from incidents_incident
where tenant_id = %(tenant)s and resolved_at >= %(since)s and status = 'resolved'
  and merged_into_id is null and not is_storm
"""


@dataclass(frozen=True)
class Took:
    """How long something took: of how many, on average, and half of them at most. None when there is none."""

    n: int
    mean: timedelta | None
    median: timedelta | None


@dataclass(frozen=True)
class Noisy:
    """A signature with what its incidents sent; the latest of them speaks for it."""

    latest: Incident
    n_incidents: int
    n_events: int
    n_regressions: int


def opened(tenant_id: UUID, since: datetime) -> int:
    n: int = _of_their_own(tenant_id).filter(opened_at__gte=since).count()
    return n


def acknowledged(tenant_id: UUID, since: datetime) -> Took:
    """From the opening to the first acknowledgement, of incidents that were opened since."""
    return _took(_ACKNOWLEDGED, tenant_id, since)


def resolved(tenant_id: UUID, since: datetime) -> Took:
    """From the opening to the resolution, of incidents that were resolved since and stayed so."""
    return _took(_RESOLVED, tenant_id, since)


def noisy(tenant_id: UUID, since: datetime) -> tuple[Noisy, ...]:
    """The signatures with most events, of incidents that were seen since: two queries."""
    mine = _of_their_own(tenant_id)
    seen = mine.filter(last_seen_at__gte=since).order_by().values("signature")
    counted = seen.annotate(n=Count("pk"), events=Sum("event_count"), back=Sum("regression_count"))
    loudest = list(counted.order_by("-events", "signature")[:NOISY_SHOWN])
    same = mine.filter(signature__in=[one["signature"] for one in loudest]).for_list()
    latest = same.order_by("signature", "-last_seen_at", "-id").distinct("signature")
    by_signature = {incident.signature: incident for incident in latest}
    return tuple(
        Noisy(by_signature[one["signature"]], one["n"], one["events"], one["back"])
        for one in loudest
    )


def _of_their_own(tenant_id: UUID) -> Any:
    """Storms group what others count, and what was merged is counted where it went."""
    return Incident.objects.for_tenant(tenant_id).filter(is_storm=False, merged_into=None)


def _took(statement: str, tenant_id: UUID, since: datetime) -> Took:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"tenant": tenant_id, "since": since})
        n, mean, median = cursor.fetchone()
    return Took(n, mean, median)
