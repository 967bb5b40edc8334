"""The only place that claims events from the inbox, takes them out, and sets aside those that break the digest."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from awfdrs_site.lib import metrics
from awfdrs_site.lib.failpoints import failpoint
from events.models import Event, PendingEvent
from incidents import turns
from tenants import journal, scoping
from tenants.journal import SYSTEM
from tenants.models import Workflow

# How many events share the first try, the second and so on: whoever died may have died of one of them.
SHARED = (1000, 250, 60, 15, 4, 1, 1, 1)
TRIES = len(SHARED)
ALONE = SHARED.index(1) + 1  # the first try that an event has to itself

# Only those whose turn it is: whoever waits for another's batch would hoard events meanwhile, and lose them to
# the next when it waits too long. One group at a time, so that every try that is counted was made: whatever is
# fresh, or of one tenant's events what was tried as often as the first. Half of the time that is the least tried,
# so that many small groups hold up nobody, else the oldest. The lease covers the way to the digest; there the
# rows are locked, and nobody claims them however long it takes.
_CLAIM = f"""
with oldest as materialized (
  select id, tenant_id, attempts from events_pendingevent
  where poisoned_at is null and (lease_until is null or lease_until < awf_now())
  order by id limit %(limit)s
), waiting as materialized (
  select distinct tenant_id from oldest
), free as materialized (
  select tenant_id from waiting where {turns.IS_FREE}
), ready as materialized (
  select oldest.* from oldest join free using (tenant_id)
), head as materialized (
  select tenant_id, attempts from ready
  order by case when (select random() < 0.5) then attempts else 0 end, id limit 1
), due as materialized (
  select ready.id from ready, head
  where ready.attempts = head.attempts and (head.attempts = 0 or ready.tenant_id = head.tenant_id)
  order by ready.id
  limit (select least(%(limit)s, (%(shared)s::int[])[least(attempts + 1, %(tries)s)]) from head)
)
update events_pendingevent pending
set lease_token = nextval('awf_lease'), lease_until = awf_now() + interval '5 seconds',
    attempts = pending.attempts + 1
from due
where pending.id = due.id
  -- again: whoever had the turn when this statement began may have claimed them before it was ours
  and pending.poisoned_at is null and (pending.lease_until is null or pending.lease_until < awf_now())
returning pending.tenant_id, pending.id, pending.lease_token, pending.attempts
"""  # noqa: S608  # of constants
_TAKE = """
with taken as (
  delete from events_pendingevent pending
  using unnest(%(ids)s::uuid[], %(tokens)s::bigint[]) as leased (id, token)
  where pending.tenant_id = %(tenant)s and pending.id = leased.id and pending.lease_token = leased.token
  returning pending.id
)
select event.id, event.tenant_id, event.workflow_id, event.event_type, event.payload, event.occurred_at,
  event.run_ref, event.vendor_name, event.correlation_id
from taken join events_event event on event.tenant_id = %(tenant)s and event.id = taken.id
order by event.id
"""
_BROKE = """
update events_pendingevent
set attempts = greatest(attempts, %(alone)s),
    poisoned_at = case when attempts >= %(tries)s then awf_now() end
where tenant_id = %(tenant)s and id = %(id)s and lease_token = %(token)s and poisoned_at is null
returning poisoned_at is not null
"""


@dataclass(frozen=True)
class Claim:
    """An inbox row we hold until its lease lapses."""

    id: UUID
    token: int
    attempts: int


def claim(limit: int) -> dict[UUID, list[Claim]]:
    """Of each tenant what may be tried together; the try is counted, whatever becomes of it."""
    claimed: dict[UUID, list[Claim]] = defaultdict(list)
    asked: dict[str, Any] = {"limit": limit, "shared": list(SHARED), "tries": TRIES}
    with scoping.pipeline(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, asked)
        for tenant_id, event_id, token, attempts in cursor.fetchall():
            claimed[tenant_id].append(Claim(event_id, token, attempts))
    again = sum(claim.attempts > 1 for claims in claimed.values() for claim in claims)
    if again:  # whoever had them before let their lease lapse
        metrics.LEASE_EXPIRIES.labels("event").inc(again)
    failpoint("group.after_claim")
    return claimed


def take(tenant_id: UUID, claims: Sequence[Claim]) -> list[Event]:
    """Those that are still ours, in order of arrival, with what the digest reads of them and each workflow once."""
    asked = {
        "tenant": tenant_id,
        "ids": [claim.id for claim in claims],
        "tokens": [claim.token for claim in claims],
    }
    events: list[Event] = list(Event.objects.for_tenant(tenant_id).raw(_TAKE, asked))
    workflows = Workflow.objects.for_tenant(tenant_id).in_bulk({e.workflow_id for e in events})
    for event in events:
        event.workflow = workflows[event.workflow_id]
    return events


def broke(tenant_id: UUID, claim: Claim) -> None:
    """From now on it is tried alone; after three such tries not at all."""
    asked: dict[str, Any] = {
        "tenant": tenant_id,
        "id": claim.id,
        "token": claim.token,
        "alone": ALONE,
        "tries": TRIES,
    }
    with scoping.bound(tenant_id) as now, connection.cursor() as cursor:
        cursor.execute(_BROKE, asked)
        row = cursor.fetchone()
        if row and row[0]:
            pending = PendingEvent.objects.for_tenant(tenant_id).get(pk=claim.id)
            journal.record(pending, "poisoned", by=SYSTEM, at=now, tries=pending.attempts)
