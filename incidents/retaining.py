"""The only place that says which events outlive their day: the first and the last of each incident."""

from collections.abc import Iterable
from uuid import UUID

from django.db import connection

from awfdrs_site.lib import ids
from events import retention

# Days go in their order: of an incident that was opened on this day or later, the first event of the day is its first.
_WORTH = """
select last_event_id from incidents_incident where last_event_id >= %(first)s and last_event_id < %(beyond)s
union
(select distinct on (link.tenant_id, link.incident_id) link.id
 from incidents_eventlink link join incidents_incident incident
   on incident.tenant_id = link.tenant_id and incident.id = link.incident_id
 where link.id >= %(first)s and link.id < %(beyond)s and incident.opened_at >= %(day)s
 order by link.tenant_id, link.incident_id, link.id)
"""


def let_go() -> int:
    """Drop what is older than retention; the sweep of every worker. Nobody waits for it."""
    retention.let_go(worth=worth)
    return 0


def worth(first: UUID, beyond: UUID) -> Iterable[UUID]:
    """Needs the pipeline's block."""
    with connection.cursor() as cursor:
        day = ids.made_at(first)
        cursor.execute(_WORTH, {"first": first, "beyond": beyond, "day": day})
        return [row[0] for row in cursor.fetchall()]
