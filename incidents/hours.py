"""The only place that counts an incident's events by the hour in which they happened."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from uuid import UUID

from django.db import connection

from awfdrs_site.lib.ids import uuid7
from incidents.models import Incident
from incidents.reading import Reading

_COUNT = """
with given as (
  select * from json_to_recordset(%s::json) as given (id uuid, incident_id uuid, hour timestamptz, n bigint)
)
insert into incidents_incidenthour as kept (id, tenant_id, incident_id, hour, n_events)
select id, %s, incident_id, hour, n from given order by incident_id, hour
on conflict (tenant_id, incident_id, hour) do update set n_events = kept.n_events + excluded.n_events
"""


def count(tenant_id: UUID, readings: Iterable[Reading], incidents: Mapping[str, Incident]) -> None:
    """Add a digested batch to the buckets of its incidents, whose rows are locked."""
    n_events = Counter(
        (
            str(incidents[reading.counted_as].pk),
            reading.event.occurred_at.replace(minute=0, second=0, microsecond=0).isoformat(),
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
