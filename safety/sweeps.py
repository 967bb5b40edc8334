"""The cross-tenant sweep over breakers: what time alone changes, without traffic."""

from uuid import UUID

from awfdrs_site.lib import sweeping
from safety import breaker
from safety.models import CircuitBreaker
from tenants import scoping

SWEEP = 200

_DUE = """
select tenant_id, id from safety_circuitbreaker
where (state = 'open' and forced = '' and open_until <= awf_now())
   or (forced <> '' and forced_until <= awf_now())
limit %s
"""


def reset_due(*, limit: int = SWEEP) -> int:
    """Move OPEN breakers whose time is over to HALF_OPEN, and end forces that expired; returns how many."""
    due = scoping.found(_DUE, [limit])
    return sweeping.each(due, _reset)


def _reset(tenant_id: UUID, breaker_id: UUID) -> None:
    with scoping.bound(tenant_id, durable=True) as now:
        mine = CircuitBreaker.objects.for_tenant(tenant_id).select_related("vendor")
        breaker.tick(mine.get(pk=breaker_id), now=now)
