"""The start transaction: the gate decides once more, and only "go" commits an attempt as `started`.

Several actions of one tenant start in one transaction, which locks all of their rows first and in one order: actions,
switches, releases, runs, the tenant's turn, breakers by vendor, buckets. What they look at is read once; then each is
asked in its turn, and counts for those after it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import random
from uuid import UUID

from django.db.models import F, prefetch_related_objects

from actions import approvals, blasts, calls, canary, claiming, facts, lifecycle
from actions.claiming import Claim, Lane
from actions.executors.base import Call
from actions.ground import Ground
from actions.lifecycle import Change
from actions.models import Action, Attempt
from actions.states import ASKS_WORKFLOW, ActionType, Status, Verification
from awfdrs_site.lib import metrics
from incidents.models import Run
from incidents.states import RunState
from safety import breaker, budget, gate, limits
from safety.breaker import Admitted, Watched
from safety.limits import Bucket
from tenants import journal, scoping
from tenants.journal import SYSTEM
from tenants.models import Vendor

LEASE_MARGIN = timedelta(
    seconds=calls.HTTP_DEADLINE_SECONDS + 10
)  # less lease than this left: start nothing
LOOKED_AT = ("tenant", "workflow", "vendor", "approval", "campaign")
SPREAD_SECONDS = 0.5  # actions released at one instant do not all come back at it
LONGEST_QUEUE = timedelta(minutes=1)
_MOVES: Mapping[str, tuple[Status, str]] = {
    "park": (Status.PARKED, "parked"),
    "approve": (Status.AWAITING_APPROVAL, "awaits_approval"),
    "skip": (Status.SKIPPED, "skipped"),
    "fail": (Status.SKIPPED, "skipped"),
}


def start(*, tenant_id: UUID, action_id: UUID, token: int) -> Call | None:
    """Commit the next attempt as `started` and return its call; None when the gate (or a lost lease) says no."""
    claim = Claim(tenant_id, action_id, token)
    return start_many(tenant_id=tenant_id, claims=[claim]).get(action_id)


def start_many(*, tenant_id: UUID, claims: Sequence[Claim]) -> dict[UUID, Call | None]:
    """The same of several in one transaction, by action id, each as if it had started by itself.

    What is missing in the answer somebody else holds: start it by itself, and nobody waits for it but itself.
    """
    with scoping.bound(tenant_id, durable=True) as now:
        actions = _claimed(tenant_id, claims, now=now)
        if not actions:
            return {}
        prefetch_related_objects(actions, *LOOKED_AT)
        ground = facts.look(actions, now=now, lock=True)
        ready = [action for action in actions if not facts.is_held_elsewhere(action)]
        batch = Batch(ready, ground, blasts.Radii(ground, ready))
        for action in sorted(ready, key=lambda one: (one.run_at, one.pk)):
            _judge(action, batch)
        made = _store(batch)
    return {action.pk: made.get(action.pk) for action in ready}


@dataclass
class Batch:
    """Actions that start together: what is locked for all of them, and what becomes of each."""

    actions: Sequence[Action]
    ground: Ground
    radii: blasts.Radii
    watched: dict[UUID, Watched] = field(default_factory=dict)  # by vendor, once the turn is taken
    buckets: dict[UUID, Bucket] = field(default_factory=dict)  # by vendor
    queues: dict[tuple[Lane, datetime], int] = field(default_factory=dict)
    changes: dict[Action, Change | None] = field(default_factory=dict)
    begun: list[tuple[Action, Admitted | None]] = field(default_factory=list)
    has_turn: bool = False

    @property
    def now(self) -> datetime:
        return self.ground.now


def _claimed(tenant_id: UUID, claims: Sequence[Claim], *, now: datetime) -> list[Action]:
    """Those that are still ours, held until the transaction ends."""
    tokens = {claim.action_id: claim.token for claim in claims}
    mine = Action.objects.for_tenant(tenant_id).filter(pk__in=tokens, status=Status.PENDING)
    held = mine.select_for_update(skip_locked=len(claims) > 1).order_by("id")
    return [
        action
        for action in held
        if action.lease_token == tokens[action.pk]
        and action.lease_until is not None
        and action.lease_until - now >= LEASE_MARGIN
    ]


def _judge(action: Action, batch: Batch) -> None:
    verdict, admitted = ask(action, batch)
    action.gates = verdict.as_json()
    if verdict.effect == "go":
        _begin(action, admitted, batch)
    else:
        _hold(action, verdict, batch)


def ask(action: Action, batch: Batch) -> tuple[gate.Verdict, Admitted | None]:
    """Cheap gates first: a probe's lease and a rate token are only asked for when all else passes."""
    ground = batch.ground
    seen = facts.of_action(action, ground)
    verdict = gate.check(seen)
    if verdict.effect != "go" or action.action_type not in ASKS_WORKFLOW:
        return verdict, None
    _take_turn(batch)
    if action.action_type == ActionType.RETRY:
        seen = replace(seen, blast=blasts.at_start(action, seen, batch.radii))
    seen = replace(seen, in_flight=facts.in_flight(action, ground))
    if action.vendor is None:
        return gate.check(seen), None
    watched = batch.watched[action.vendor.pk]
    admitted = breaker.ask(watched, call_id=str(action.pk), now=batch.now)
    seen = facts.with_vendor(seen, action, admitted, ground)
    verdict = gate.check(seen)
    if verdict.effect == "go":
        bucket = _bucket(action.vendor, batch)
        taken = limits.spend(bucket, now=batch.now)
        verdict = gate.check(replace(seen, rate=facts.rate(bucket.limit, taken)))
    return verdict, admitted


def _take_turn(batch: Batch) -> None:
    """Once one of them may go: from then on the tenant's other starts wait, and so do its vendors' breakers."""
    if batch.has_turn:
        return
    batch.has_turn = True
    facts.take_turn(batch.ground.tenant_id)
    calling = [one for one in batch.actions if one.action_type in ASKS_WORKFLOW]
    if len({one.vendor_id for one in calling}) > 1:
        calling = [one for one in calling if _may_go(one, batch)]
    vendors = {one.vendor.pk: one.vendor for one in calling if one.vendor is not None}
    for vendor_id in sorted(vendors):  # as the digest does, which holds several too
        batch.watched[vendor_id] = breaker.watch(vendors[vendor_id], known=batch.ground.known)


def _may_go(action: Action, batch: Batch) -> bool:
    """As far as the cheap gates say; nothing that the batch itself does makes them say yes later."""
    if action.status != Status.PENDING or action in batch.changes:
        return False
    return gate.check(facts.of_action(action, batch.ground)).effect == "go"


def _bucket(vendor: Vendor, batch: Batch) -> Bucket:
    if vendor.pk not in batch.buckets:
        limit = batch.watched[vendor.pk].in_force.rate_limit
        batch.buckets[vendor.pk] = limits.hold(vendor, limit, now=batch.now)
    return batch.buckets[vendor.pk]


def _hold(action: Action, verdict: gate.Verdict, batch: Batch) -> None:
    """Park, wait, ask a person or give it up, as the first failing gate says."""
    waited_for, reason = action.waiting_reason, verdict.reason[:300]
    action.waiting_reason = reason
    if verdict.effect == "wait":
        metrics.SAFETY_LIMITS.labels(str(action.tenant_id), verdict.failed[0].name).inc()
        action.run_at = _next_look(action, verdict, batch)
        # A thousand actions that poll one half-open breaker say so once each, not every second.
        change = Change("waits", {"reason": reason, "until": action.run_at.isoformat()})
        batch.changes[action] = None if waited_for == reason else change
        return
    status, verb = _MOVES[verdict.effect]
    batch.changes[action] = lifecycle.moved(action, status, verb, reason=reason)


def _next_look(action: Action, verdict: gate.Verdict, batch: Batch) -> datetime:
    """When the last failing gate clears; in a queue for it each takes the place behind the others.

    Were they all to come back for the first place that is free, each place would cost as many starts as there are
    actions waiting. Nobody looks less often than once a minute: places may come faster than now foreseen.
    """
    clears_at = max(verdict.earliest_possible_at or batch.now, batch.now)
    behind = timedelta()
    if verdict.apart:
        # Those before it in the queue wait for the same place or a later one.
        after = max(batch.now, clears_at - verdict.apart)
        behind = verdict.apart * _queued(action, batch, after=after)
    spread = timedelta(seconds=random() * SPREAD_SECONDS)  # noqa: S311
    return clears_at + min(behind, LONGEST_QUEUE) + spread


def _queued(action: Action, batch: Batch, *, after: datetime) -> int:
    """With those of the batch, whose new places are not stored yet: all of them were due, so none is counted twice."""
    lane = claiming.lane_of(action)
    if (lane, after) not in batch.queues:
        batch.queues[lane, after] = claiming.queued(action, after=after)
    here = sum(
        one.status == Status.PENDING and one.run_at > after and claiming.lane_of(one) == lane
        for one in batch.changes
    )
    return min(batch.queues[lane, after] + here, claiming.QUEUE_COUNTED)


def _begin(action: Action, admitted: Admitted | None, batch: Batch) -> None:
    now, is_first = batch.now, action.started_at is None
    if admitted is not None:
        admitted.keep(now=now)
    canary.use_up(action, now=now)
    action.attempts_made += 1
    action.started_at = action.started_at or now
    action.waiting_reason = ""
    if action.action_type in ASKS_WORKFLOW:
        action.verification = Verification.PENDING
    batch.changes[action] = lifecycle.moved(
        action, Status.IN_PROGRESS, "started", attempt=action.attempts_made
    )
    batch.begun.append((action, admitted))
    if action.action_type in ASKS_WORKFLOW:
        batch.ground.counts.add(action)
    if action.action_type == ActionType.RETRY and is_first:
        batch.radii.add(action)


def _store(batch: Batch) -> dict[UUID, Call]:
    """Everything in one statement each, however many there are."""
    begun = [action for action, _ in batch.begun]
    payloads = calls.payloads_of(begun)
    made = {action.pk: calls.of(action, now=batch.now, payloads=payloads) for action in begun}
    Attempt.objects.bulk_create(
        [_attempt(action, admitted, made[action.pk], batch) for action, admitted in batch.begun]
    )
    lifecycle.save_all(batch.changes, by=SYSTEM, now=batch.now)
    _meter([action for action in begun if action.action_type == ActionType.RETRY], batch)
    for bucket in batch.buckets.values():
        limits.keep(bucket)
    asking = [action for action in batch.changes if action.status == Status.AWAITING_APPROVAL]
    if asking:
        approvals.ask(asking, by=SYSTEM, now=batch.now)
    return made


def _attempt(action: Action, admitted: Admitted | None, call: Call, batch: Batch) -> Attempt:
    assert action.lease_token is not None
    return Attempt(
        tenant_id=action.tenant_id,
        action=action,
        number=action.attempts_made,
        workflow_id=action.workflow_id,
        run_id=action.run_id,
        vendor_id=action.vendor_id,
        is_unattended=not action.parameters.get("approved_by"),
        lease_token=action.lease_token,
        breaker_epoch=admitted.admission.epoch if admitted else None,
        request=calls.as_request(call),
        started_at=batch.now,
    )


def _meter(retries: Sequence[Action], batch: Batch) -> None:
    """What their runs and vendors show of them; the runs are held since the gate looked at them."""
    if not retries:
        return
    runs = {action.run.pk: action.run for action in retries if action.run is not None}
    mine = Run.objects.for_tenant(batch.ground.tenant_id).filter(pk__in=runs)
    mine.update(attempted_at=batch.now, state=RunState.RETRY_SCHEDULED, version=F("version") + 1)
    for run in runs.values():
        run.version += 1
        journal.announce(run)
    vendors = {one.vendor.pk: one.vendor for one in retries if one.vendor is not None}
    kinds = Counter((one.vendor_id, one.campaign_id is not None) for one in retries if one.vendor)
    for (vendor_id, is_of_campaign), n_calls in sorted(kinds.items()):
        vendor = vendors[vendor_id]
        budget.spend(vendor, is_of_campaign=is_of_campaign, n_calls=n_calls, now=batch.now)
