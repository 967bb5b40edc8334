"""The only place that counts an incident's events by the hour in which they happened."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from awfdrs_site.lib.ids import uuid7
from incidents.models import Incident, IncidentHour
from incidents.reading import Reading

_COUNT = """
with given as (
  select * from json_to_recordset(%s::json) as given (id uuid, incident_id uuid, hour timestamptz, n bigint)
)
insert into incidents_incidenthour as kept (id, tenant_id, incident_id, hour, n_events)
select id, %s, incident_id, hour, n from given order by incident_id, hour
on conflict (tenant_id, incident_id, hour) do update set n_events = kept.n_events + excluded.n_events
"""
_JOIN = """
with moved as (
  delete from incidents_incidenthour where tenant_id = %(tenant)s and incident_id = any(%(others)s)
  returning hour, n_events
)
insert into incidents_incidenthour as kept (id, tenant_id, incident_id, hour, n_events)
select gen_random_uuid(), %(tenant)s, %(target)s, hour, sum(n_events) from moved group by hour
on conflict (tenant_id, incident_id, hour) do update set n_events = kept.n_events + excluded.n_events
"""
_PART = """
with moved as (
  select date_trunc('hour', event.occurred_at, 'UTC') as hour, count(*) as n_events
  from incidents_eventlink link
  join events_event event on event.tenant_id = link.tenant_id and event.id = link.id
  where link.tenant_id = %(tenant)s and link.incident_id = %(source)s and link.signature = %(signature)s
  group by 1
), given as (
  insert into incidents_incidenthour as kept (id, tenant_id, incident_id, hour, n_events)
  select gen_random_uuid(), %(tenant)s, %(target)s, hour, n_events from moved
  on conflict (tenant_id, incident_id, hour) do update set n_events = kept.n_events + excluded.n_events
)
update incidents_incidenthour kept set n_events = greatest(kept.n_events - moved.n_events, 0)
from moved where kept.tenant_id = %(tenant)s and kept.incident_id = %(source)s and kept.hour = moved.hour
"""


def hour_of(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def count(tenant_id: UUID, readings: Iterable[Reading], incidents: Mapping[str, Incident]) -> None:
    """Add a digested batch to the buckets of its incidents, whose rows are locked."""
    n_events = Counter(
        (
            str(incidents[reading.counted_as].pk),
            hour_of(reading.event.occurred_at).isoformat(),
        )
        for reading in readings
        if reading.counted_as
    )
    if not n_events:
        return
    rows = [
        {"id": str(uuid7()), "incident_id": incident_id, "hour": hour, "n": n}
        for (incident_id, hour), n in n_events.items()
    ]
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [json.dumps(rows), tenant_id])


def join(tenant_id: UUID, others: Sequence[UUID], target_id: UUID) -> None:
    """Add the buckets of `others` to those of the target."""
    given: dict[str, Any] = {"tenant": tenant_id, "others": list(others), "target": target_id}
    with connection.cursor() as cursor:
        cursor.execute(_JOIN, given)


def part(tenant_id: UUID, source_id: UUID, target_id: UUID, *, signature: str) -> None:
    """Move what the source counts of `signature` to the target; its links are still the source's."""
    given: dict[str, Any] = {
        "tenant": tenant_id,
        "source": source_id,
        "target": target_id,
        "signature": signature,
    }
    with connection.cursor() as cursor:
        cursor.execute(_PART, given)
    emptied = IncidentHour.objects.for_tenant(tenant_id).filter(incident=source_id, n_events=0)
    emptied.delete()
