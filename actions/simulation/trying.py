"""The only place that plans, starts, ends and verifies retries in a pass: the engine's own judgements, and no call."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from actions import blasts, proposals, retry, starting, verdicts
from actions.executors import webhook
from actions.executors.base import Result
from actions.models import Action
from actions.simulation import virtual
from actions.simulation.kept import Planned, Tried
from actions.simulation.story import Attempted
from actions.simulation.virtual import Made, VirtualGround, VirtualRadii
from actions.simulation.world import Case, Plan, World, middle
from actions.states import AttemptStatus, Status
from actions.terms import policy_of
from awfdrs_site.lib.ids import uuid7
from incidents.models import Run
from incidents.runs import Key
from incidents.states import RunState
from safety import breaker, breaker_step, gate, limits
from safety.effective import Effective
from safety.killswitch import Held
from safety.limits import Bucket
from tenants.models import Vendor

AS_OBSERVED, FAILS = "as_observed", "fail"
VERIFIED_WITHIN: Final = timedelta(minutes=15)
LOOKS_APART: Final = timedelta(milliseconds=500)
# The waits between attempts: where these are as they were, so are the moments.
WAITS: Final = (
    "backoff_strategy",
    "initial_delay_ms",
    "max_delay_ms",
    "backoff_multiplier",
    "jitter",
    "jitter_factor",
    "respect_retry_after",
)


def propose(
    world: World, case: Case, key: Key, run: Run, in_force: Effective, *, now: datetime
) -> None:
    """The run's retry, as planning would write it down."""
    assert case.decision is not None
    decided, said = case.decision, {"now": now, "dice": middle}
    [action] = proposals.retries(case.incident, decided, [run], in_force, **said)  # type: ignore[arg-type]
    action.id, action.tenant = uuid7(now), world.past.tenant
    action.workflow, action.vendor = case.incident.workflow, case.incident.vendor
    plans, recorded = world.plans[key, run.episode], world.past.planned.get((key, run.episode), [])
    place = len(plans)
    first = world.past.attempt_key(key, run.episode, place, 1)
    as_it_was = recorded[place] if place < len(recorded) else None
    plan = Plan(first, action, run, case, as_it_was)
    plans.append(plan)
    run.state = RunState.RETRY_SCHEDULED
    if action.status == Status.AWAITING_APPROVAL:
        _ask(world, plan, action.waiting_reason, now=now)
    else:
        _next(world, plan, now=now)


def failed_again(world: World, key: Key, run: Run, *, now: datetime) -> None:
    """After a retry of it was accepted: that one is judged at once."""
    for plan in world.plans.get((key, run.episode), ()):
        if plan.action.status == Status.COMPLETED:
            verify(world, plan, now=now)


def verify(world: World, plan: Plan, *, now: datetime) -> None:
    action, run = plan.action, plan.run
    if plan.is_judged:
        return
    plan.is_judged = True
    assert action.started_at is not None
    is_verified = run.succeeded_at is not None and run.succeeded_at > action.started_at
    if not is_verified and run.state != RunState.WAIVED:
        _give_up(world, plan)


def by_hand(
    world: World, key: Key, vendor: Vendor | None, is_of_campaign: bool, *, now: datetime
) -> None:
    """An attempt that people made: as it was, in every pass."""
    run = world.runs.get(key)
    if run is not None:
        run.attempted_at, run.state = now, RunState.RETRY_SCHEDULED
        if not is_of_campaign:
            made = Made(now, run.pk, vendor.pk if vendor else None, is_unattended=False)
            world.book.add(made)
    if vendor is not None:
        world.story.bears(vendor.name, now)


def hear_of_vendor(
    world: World,
    vendor: Vendor,
    outcome: breaker_step.Outcome,
    *,
    now: datetime,
    call: Action | None = None,
    epoch: int | None = None,
) -> None:
    """What a call says of its vendor, to its breaker. No jitter: an open time is as short as it may be."""
    watched = world.watched(vendor, now)
    before = breaker.state_of(watched.row)
    after = breaker_step.record(
        before,
        now=now,
        policy=watched.in_force.breaker,
        outcome=outcome,
        call_id=str(call.pk) if call else None,
        epoch=epoch,
    )
    if after.state == "open" and before.state != "open":
        world.story.openings[vendor.name] += 1
    breaker.put(watched.row, after)


def _ask(world: World, plan: Plan, why: str, *, now: datetime) -> None:
    """People allow what they allowed; nobody knows what they would say of anything else."""
    plan.action.status, plan.was_asked = Status.AWAITING_APPROVAL, True
    world.story.asked[plan.key] = why
    recorded = plan.recorded
    if recorded is not None and recorded.allowed_at is not None:
        world.at(max(now, recorded.allowed_at), 0, _allow, plan)


def _allow(world: World, plan: Plan, *, now: datetime) -> None:
    plan.action.status, plan.action.run_at = Status.PENDING, now
    plan.action.parameters = {**plan.action.parameters, "approved_by": "as recorded"}
    _next(world, plan, now=now)


def _next(world: World, plan: Plan, *, now: datetime) -> None:
    """Its next attempt: when the recorded one was, where nothing about the waits differs."""
    number = plan.action.attempts_made + 1
    at = _recorded_moment(plan, number)
    world.at(max(now, at or plan.action.run_at), 0, _start, plan, number)


def _recorded_moment(plan: Plan, number: int) -> datetime | None:
    recorded, before = plan.recorded, None
    if recorded is None or not _waits_alike(recorded, plan.action):
        return None
    at = _moment_of(recorded, number)
    before = recorded.attempt(number - 1)
    if at is None or (before is None and number > 1):
        return None
    if before is not None and plan.last_at is not None:
        return plan.last_at + (at - before.at)
    return at if recorded.was_asked == plan.was_asked else None


def _moment_of(recorded: Planned, number: int) -> datetime | None:
    """When it was made; or was due, where it was not made any more: then it is asked again whether it is needed."""
    if tried := recorded.attempt(number):
        return tried.at
    is_next = len(recorded.attempts) == number - 1
    return recorded.run_at if is_next and not recorded.is_given_up else None


def _waits_alike(recorded: Planned, action: Action) -> bool:
    return all(recorded.policy.get(name) == action.policy.get(name) for name in WAITS)


def _start(world: World, plan: Plan, number: int, *, now: datetime) -> None:
    action = plan.action
    if action.status != Status.PENDING or action.attempts_made != number - 1:
        return
    held = virtual.held_at(world.past.stops, action, now)
    batch = _batch(world, action, held, now)
    verdict, admitted = starting.ask(action, batch)
    for bucket in batch.buckets.values():
        world.arrivals[bucket.vendor.pk] = bucket.arrival_at
    if verdict.effect != "go":
        return _hold(world, plan, verdict, held, now=now)
    if admitted is not None:
        breaker.put(admitted.row, admitted.state)
    _begin(world, plan, admitted.admission.epoch if admitted else None, now=now)


def _batch(world: World, action: Action, held: Sequence[Held], now: datetime) -> starting.Batch:
    """The one that starts, before its counts as this pass has them."""
    ground = VirtualGround(action, held, known=world.known(now), now=now, book=world.book)
    radii: blasts.Radii = VirtualRadii(ground, action, world.book, world.story)
    batch = starting.Batch([action], ground, radii, has_turn=True)
    if action.vendor is not None:
        watched = world.watched(action.vendor, now)
        limit = watched.in_force.rate_limit
        arrival = world.arrivals.get(action.vendor.pk) or now + limits.untouched(limit)
        batch.watched[action.vendor.pk] = watched
        batch.buckets[action.vendor.pk] = Bucket(action.vendor, limit, arrival)
    return batch


def _hold(
    world: World, plan: Plan, verdict: gate.Verdict, held: Sequence[Held], *, now: datetime
) -> None:
    number = plan.action.attempts_made + 1
    if verdict.effect == "approve":
        return _ask(world, plan, verdict.reason, now=now)
    if verdict.effect in ("skip", "fail"):
        plan.action.status = Status.SKIPPED
        return
    again = verdict.earliest_possible_at if verdict.effect == "wait" else virtual.ends_at(held)
    if again is not None:
        world.at(max(again, now) + LOOKS_APART, 0, _start, plan, number)


def _begin(world: World, plan: Plan, epoch: int | None, *, now: datetime) -> None:
    action, run = plan.action, plan.run
    if action.started_at is None and action.rule:
        world.book.of_rules[action.rule].append((now, run.pk))
    action.attempts_made += 1
    action.started_at = action.started_at or now
    action.status, action.waiting_reason = Status.IN_PROGRESS, ""
    run.attempted_at, run.state, plan.last_at = now, RunState.RETRY_SCHEDULED, now
    is_alone = not action.parameters.get("approved_by")
    world.book.add(Made(now, run.pk, action.vendor_id, is_unattended=is_alone))
    if action.vendor is not None:
        world.story.bears(action.vendor.name, now)
    _answered(world, plan, epoch, now=now)


def _answered(world: World, plan: Plan, epoch: int | None, *, now: datetime) -> None:
    """As the recorded attempt of this number was; of one beyond them what is assumed."""
    number = plan.action.attempts_made
    recorded = plan.recorded.attempt(number) if plan.recorded else None
    result = _recorded_result(recorded) if recorded else _assumed(world, plan, now)
    name = plan.key._replace(number=number)
    world.story.attempts[name] = Attempted(now, plan.case.key, result.ending, recorded is None)
    for after, said in world.withheld.pop(name, ()):
        world.at(now + after, 1, world.hear, said)
    if recorded is None or recorded.status != AttemptStatus.STARTED:
        lasted = recorded.ended_at - recorded.at if recorded else timedelta()
        world.at(now + lasted, 0, _settle, plan, result, epoch)


def _recorded_result(recorded: Tried) -> Result:
    return webhook.as_recorded(
        recorded.status, recorded.response_status, recorded.error, is_final=recorded.is_final
    )


def _assumed(world: World, plan: Plan, now: datetime) -> Result:
    key = (str(plan.run.workflow_id), plan.run.run_id)
    recovers = any(at > now for at in world.succeeded_at.get(key, ()))
    if world.assumed == AS_OBSERVED and recovers:
        return Result("succeeded", says_vendor_is="success")
    return Result("retryable", error="as is assumed", says_vendor_is="failure")


def _settle(world: World, plan: Plan, result: Result, epoch: int | None, *, now: datetime) -> None:
    action = plan.action
    settled = verdicts.judge(action, result, now=now)
    if action.vendor is not None:
        vendor, outcome = action.vendor, result.says_vendor_is
        hear_of_vendor(world, vendor, outcome, now=now, call=action, epoch=epoch)
    if action.status == Status.PENDING:
        action.run_at = now + timedelta(seconds=_wait_seconds(action, result))
        _next(world, plan, now=now)
    elif action.status == Status.COMPLETED:
        world.at(now + VERIFIED_WITHIN, 4, verify, plan)
    elif settled.told:
        _give_up(world, plan)


def _wait_seconds(action: Action, result: Result) -> float:
    """With dice that always fall alike."""
    return retry.delay_seconds(
        policy_of(action),
        attempt=action.attempts_made + 1,
        random=middle,
        retry_after_seconds=result.retry_after_seconds,
        previous_seconds=action.result.get("waited_seconds"),
    )


def _give_up(world: World, plan: Plan) -> None:
    world.call_people(plan.case)
    if plan.run.state == RunState.RETRY_SCHEDULED:
        plan.run.state = RunState.FAILED
