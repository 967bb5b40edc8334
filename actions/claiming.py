"""The only place that decides whose turn it is: claims of due actions, lane by lane and tenant by tenant.

A lane is what one tenant has pending of one kind for one workflow and vendor. Its head is found by one step in an
index, so a claim costs as many steps as there are lanes, however many actions wait in them. A lane whose workflow,
vendor or tenant has as many calls under way as it may is passed by: what waits there keeps its place and costs
nothing. (The start transaction counts once more, with the lock that makes the count exact.)

Slots go round: every tenant's first action before any tenant's second, counting what this worker is calling for it
already; who is first among equals is drawn by lot, so that no tenant is always last.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from actions.models import Action
from actions.states import Status
from awfdrs_site.lib import metrics
from tenants import scoping

LEASE_SECONDS = 60
NO_CAP = 1_000_000  # on what tells people
QUEUE_COUNTED = 1000
Lane = tuple[str, UUID | None, UUID | None]

LANE = (
    "(md5(tenant_id::text || action_type || coalesce(workflow_id::text, '-')"
    " || coalesce(vendor_id::text, '-'))::uuid)"
)

# `clock`: a volatile function is no bound of an index scan, a value read once is.
_ROOMY = f"""
with recursive clock as materialized (
  select awf_now() as now
), lane as (
  (select {LANE} as key, tenant_id, action_type, workflow_id, vendor_id, run_at
   from actions_action where status = 'pending' order by {LANE}, run_at, id limit 1)
  union all
  select following.* from lane cross join lateral (
    select {LANE} as key, tenant_id, action_type, workflow_id, vendor_id, run_at
    from actions_action where status = 'pending' and {LANE} > lane.key
    order by {LANE}, run_at, id limit 1
  ) following
), due as (
  select * from lane where run_at <= (select now from clock)
), calling as (
  select tenant_id, workflow_id, vendor_id, count(*) as n from actions_action
  where status = 'in_progress' and action_type in ('retry', 'rollback') group by 1, 2, 3
), roomy as (
  select due.key, due.tenant_id, due.run_at,
    case when due.action_type not in ('retry', 'rollback') then {NO_CAP} else least(
      tenant.max_in_flight - coalesce((select sum(n) from calling where tenant_id = due.tenant_id), 0),
      workflow.max_in_flight - coalesce((select sum(n) from calling where workflow_id = due.workflow_id), 0),
      vendor.max_in_flight - coalesce((select sum(n) from calling where vendor_id = due.vendor_id), 0)
    ) end::bigint as room
  from due
  join tenants_tenant tenant on tenant.id = due.tenant_id
  left join tenants_workflow workflow on workflow.id = due.workflow_id
  left join tenants_vendor vendor on vendor.id = due.vendor_id
)"""  # noqa: S608  # of constants
CLAIM = f"""
{_ROOMY}, candidate as (
  select found.id, found.run_at, roomy.tenant_id from roomy cross join lateral (
    select id, run_at from actions_action
    where status = 'pending' and {LANE} = roomy.key and run_at <= (select now from clock)
      and (lease_until is null or lease_until < (select now from clock))
    order by run_at, id limit greatest(0, least(roomy.room, %(limit)s)) for update skip locked
  ) found
), placed as (
  select candidate.id, coalesce(busy.n, 0)
    + row_number() over (partition by candidate.tenant_id order by candidate.run_at, candidate.id) as place
  from candidate
  left join unnest(%(busy)s::uuid[], %(calls)s::bigint[]) as busy (tenant_id, n) using (tenant_id)
), turn as (
  select id, place, row_number() over (order by place, random()) as slot from placed
)
update actions_action action
set lease_token = nextval('awf_lease'), lease_until = awf_now() + interval '{LEASE_SECONDS} seconds'
from turn
where action.id = turn.id
  and turn.slot <= case when turn.place = 1 then %(limit)s else %(limit)s - %(spare)s end
returning action.tenant_id, action.id, action.lease_token
"""  # noqa: S608  # of constants
# What is due and could be claimed, the oldest of it: what a cap holds is not late (health/pipeline asks).
OLDEST = f"{_ROOMY} select min(run_at) from roomy where room > 0"  # noqa: S608
LOST = f"""
with lost as (
  select id from actions_action
  where status = 'in_progress' and lease_until < awf_now()
  order by lease_until limit %(limit)s for update skip locked
)
update actions_action action
set lease_token = nextval('awf_lease'), lease_until = awf_now() + interval '{LEASE_SECONDS} seconds'
from lost where action.id = lost.id
returning action.tenant_id, action.id, action.lease_token
"""  # noqa: S608


@dataclass(frozen=True)
class Claim:
    """An action we hold until its lease lapses; the token is in every write."""

    tenant_id: UUID
    action_id: UUID
    token: int


def due(*, limit: int, spare: int = 0, under_way: Mapping[UUID, int]) -> list[Claim]:
    """Lease up to `limit` due actions; the last `spare` only for tenants with nothing in `under_way`."""
    busy, calls = list(under_way), list(under_way.values())
    return _claims(CLAIM, limit=limit, spare=spare, busy=busy, calls=calls)


def lost(*, limit: int) -> list[Claim]:
    """Lease attempts under way whose own lease ran out: their worker is gone."""
    claims = _claims(LOST, limit=limit)
    if claims:
        metrics.LEASE_EXPIRIES.labels("action").inc(len(claims))
    return claims


def lane_of(action: Action) -> Lane:
    return action.action_type, action.workflow_id, action.vendor_id


def queued(action: Action, *, after: datetime) -> int:
    """How many of its lane wait for a later moment than `after`, counted up to a thousand."""
    lane = dict(zip(("action_type", "workflow_id", "vendor_id"), lane_of(action), strict=True))
    mine = Action.objects.for_tenant(action.tenant_id).filter(status=Status.PENDING, **lane)
    return int(mine.filter(run_at__gt=after)[:QUEUE_COUNTED].count())


def _claims(statement: str, **parameters: Any) -> list[Claim]:
    return [Claim(*row) for row in scoping.found(statement, parameters)]
