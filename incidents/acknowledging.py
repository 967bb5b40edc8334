"""The only place that ends acknowledgements whose time is over: people are asked again."""

from datetime import datetime
from math import ceil
from uuid import UUID

from awfdrs_site.lib import sweeping
from incidents import keeping, lifecycle
from incidents.models import Incident
from tenants import scoping
from tenants.journal import SYSTEM

SWEEP = 200

_DUE = """
select tenant_id, id from incidents_incident
where acknowledged_until is not null and acknowledged_until <= awf_now()
order by acknowledged_until, id limit %s
"""


def end_due(*, limit: int = SWEEP) -> int:
    """The sweep; returns how many it ended."""
    ended: list[UUID] = []
    sweeping.each(
        scoping.found(_DUE, [limit]), lambda tenant_id, pk: ended.extend(_end(tenant_id, pk))
    )
    return len(ended)


def _end(tenant_id: UUID, incident_id: UUID) -> list[UUID]:
    with scoping.bound(tenant_id, durable=True) as now:
        incident = keeping.locked(Incident.objects.for_tenant(tenant_id).get(pk=incident_id))
        since, until = incident.acknowledged_at, incident.acknowledged_until
        if since is None or until is None or until > now:
            return []
        lifecycle.end_acknowledgement(incident, by=SYSTEM, now=now, reason=_words(since, until))
    return [incident_id]


def _words(since: datetime, until: datetime) -> str:
    minutes = ceil((until - since).total_seconds() / 60)
    return f"It was for {minutes} {'minute' if minutes == 1 else 'minutes'}."
