"""The only place that lets parked actions go: lane by lane, each at its place in the release of its switch."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Case, F, Func, JSONField, Value, When
from django.db.models.functions import Greatest

from actions import canary, holding, lifecycle
from actions.models import Action
from actions.states import Status
from awfdrs_site.lib import sweeping
from safety import killswitch, releases
from safety.killswitch import TELLING, Ended, Scopes
from tenants import scoping
from tenants.journal import SYSTEM

LANES = 100
AT_ONCE = 200  # actions of a lane in one transaction
RECOVERED = "Its run recovered, or its incident was ignored, while a kill switch held it."

# Lanes, not actions: however many are held in one, the next one is found. What a paused campaign holds is let go by
# resuming it. The switches are read again in the lane's own transaction.
_FREE = """
with lane as (
  select action.tenant_id, action.action_type, action.workflow_id, action.vendor_id
  from actions_action action left join actions_campaign campaign
    on campaign.tenant_id = action.tenant_id and campaign.id = action.campaign_id
  where action.status = 'parked' and campaign.status is distinct from 'paused'
  group by 1, 2, 3, 4
), own as (
  select tenant_id, scope, target from safety_killswitch
  where lifted_at is null and (expires_at is null or expires_at > awf_now())
), everywhere as (
  select 1 from safety_globalkillswitch
  where lifted_at is null and (expires_at is null or expires_at > awf_now())
)
select lane.* from lane where not exists (
  select 1 from own where own.tenant_id = lane.tenant_id and (
    own.scope = 'action_type' and own.target = lane.action_type
    or lane.action_type <> all(%(telling)s) and (
      own.scope = 'tenant'
      or own.scope = 'workflow' and own.target = lane.workflow_id::text
      or own.scope = 'vendor' and own.target = lane.vendor_id::text))
) and (lane.action_type = any(%(telling)s) or not exists (select 1 from everywhere))
limit %(limit)s
"""


def release_parked(*, limit: int = LANES) -> int:
    """The sweep: give parked actions that no kill switch holds any more their places; returns how many."""
    free = scoping.found(_FREE, {"telling": sorted(TELLING), "limit": limit})
    lanes = [Scopes(*row) for row in free]
    moved: list[int] = []
    sweeping.each(((lane,) for lane in lanes), lambda lane: moved.append(_release(lane)))
    return sum(moved)


def _release(lane: Scopes) -> int:
    with scoping.bound(lane.tenant_id, durable=True) as now:
        if killswitch.holding(lane, now=now):
            return 0
        parked = holding.held(lane.tenant_id).filter(
            action_type=lane.action_type, workflow_id=lane.workflow_id, vendor_id=lane.vendor_id
        )
        locking = parked.select_for_update(of=("self",), skip_locked=True)
        held = list(locking.order_by("run_at", "id")[:AT_ONCE])
        over = _recovered(held)
        _skip([action for action in held if action.pk in over], now=now)
        left = [action for action in held if action.pk not in over]
        _let_go(left, killswitch.ended_last(lane, now=now), now=now)
    return len(held)


def _recovered(held: Sequence[Action]) -> set[UUID]:
    if not held:
        return set()
    mine = Action.objects.for_tenant(held[0].tenant_id).filter(holding.SUPERSEDED)
    return set(mine.filter(pk__in=[action.pk for action in held]).values_list("pk", flat=True))


def _skip(actions: Sequence[Action], *, now: datetime) -> None:
    fields = {"waiting_reason": RECOVERED}
    lifecycle.move_all(
        actions, Status.SKIPPED, "skipped", by=SYSTEM, now=now, fields=fields, reason=RECOVERED
    )
    lifecycle.release_runs(actions)


def _let_go(actions: Sequence[Action], ended: Ended | None, *, now: datetime) -> None:
    """All of them in one statement; each row then says when its turn is."""
    if not actions:
        return
    fields: dict[str, Any] = {"run_at": Greatest(F("run_at"), Value(now)), "waiting_reason": ""}
    detail: dict[str, Any] = {}
    if ended is not None:
        tenant_id, n = actions[0].tenant_id, len(actions)
        release, places = releases.places(ended, tenant_id=tenant_id, n=n, now=now)
        fields = _places(actions, release, places)
        detail = {"switches": [str(ended.id)]}
    lifecycle.move_all(
        actions, Status.PENDING, "released", by=SYSTEM, now=now, fields=fields, **detail
    )


def _places(actions: Sequence[Action], release: UUID, places: Sequence[datetime]) -> dict[str, Any]:
    turns = [
        When(pk=action.pk, then=Value(place)) for action, place in zip(actions, places, strict=True)
    ]
    paced = Value({canary.RELEASED: str(release)}, JSONField())
    return {
        "run_at": Greatest(F("run_at"), Case(*turns)),
        "waiting_reason": "Its turn after the kill switch.",
        "parameters": Func(
            F("parameters"),
            paced,
            arg_joiner=" || ",
            template="(%(expressions)s)",
            output_field=JSONField(),
        ),
    }
