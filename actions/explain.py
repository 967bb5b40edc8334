"""The only place that says why something is not retried: the gates as they stand now. No lock, no lease, no token."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from actions import blasts, facts, outlook
from actions.models import Action
from actions.states import ASKS_WORKFLOW, UNSETTLED, ActionType, Status
from incidents import decisions
from incidents.models import Incident, Run
from incidents.states import UNRECOVERED, Choice
from safety import breaker, gate, limits
from safety.effective import Effective
from safety.gate import Gate

LOOKED_AT = ("tenant", "workflow", "vendor", "approval", "campaign", "incident", "run")
WAITING = (Status.PENDING, Status.PARKED, Status.AWAITING_APPROVAL)


@dataclass(frozen=True)
class Explanation:
    """`effect` is what the first failing gate does, go where none fails, calling, or settled.

    `earliest_possible_at` is when the next attempt starts if nothing else happens; None where it takes a person.
    """

    effect: str
    reason: str
    gates: tuple[Gate, ...] = ()
    earliest_possible_at: datetime | None = None
    next_attempt: int | None = None
    action_id: UUID | None = None


def of_action(action: Action, *, now: datetime) -> Explanation:
    """Of one action. What is settled or under way has no gates any more."""
    if action.status == Status.IN_PROGRESS:
        reason = f"Attempt {action.attempts_made} is under way."
        return Explanation("calling", reason, action_id=action.pk)
    is_lost = action.action_type == ActionType.RETRY and action.run_id is None  # of what run?
    if action.status not in WAITING or is_lost:
        return Explanation("settled", action.waiting_reason, action_id=action.pk)
    verdict = _verdict(action, now=now)
    return Explanation(
        effect=verdict.effect,
        reason=verdict.reason or action.waiting_reason,
        gates=verdict.gates,
        earliest_possible_at=_earliest(action, verdict, now=now),
        next_attempt=action.attempts_made + 1,
        action_id=action.pk,
    )


def of_run(run: Run, *, now: datetime) -> Explanation:
    """Of the run's retry that is not over; without one, of the retry that it would get."""
    mine = Action.objects.for_tenant(run.tenant_id).filter(run=run, action_type=ActionType.RETRY)
    latest = mine.select_related(*LOOKED_AT).order_by("-id")
    action = latest.filter(status__in=UNSETTLED).first()
    if action is not None:
        return of_action(action, now=now)
    return _unplanned(run, latest.first(), now=now)


def of_incident(incident: Incident, *, now: datetime) -> Explanation:
    """Of what its page tells first of its actions; without one, of a run that is hurt."""
    told = outlook.told_action(incident.tenant_id, incident.pk)
    mine = Action.objects.for_tenant(incident.tenant_id).select_related(*LOOKED_AT)
    action = mine.filter(pk=told).first() if told else None
    if action is not None:
        return of_action(action, now=now)
    hurt = Run.objects.for_tenant(incident.tenant_id).unrecovered().filter(incident=incident)
    # Whichever the index has first: of twenty thousand none is told otherwise than the next.
    run = hurt.order_by("state")[:1].first()
    return of_run(run, now=now) if run is not None else _nothing_to_retry("no run is hurt")


def _verdict(action: Action, *, now: datetime) -> gate.Verdict:
    seen = _seen(action, now=now)
    verdict = gate.check(seen)
    if action.action_type != ActionType.RETRY or action.status != Status.PENDING:
        return verdict
    # A hold moves `run_at` too. What it waits for then are the gates, while they still say so.
    was_held = any(not one["passed"] and one.get("clears_at") for one in action.gates)
    is_over = action.run_at <= now or (was_held and bool(verdict.failed))
    backoff = gate.Backoff(action.attempts_made + 1, action.run_at, is_over)
    return gate.check(replace(seen, backoff=backoff))


def _seen(action: Action, *, now: datetime) -> gate.Facts:
    ground = facts.look([action], now=now, lock=False)
    seen = facts.of_action(action, ground)
    if action.action_type not in ASKS_WORKFLOW:
        return seen
    if action.action_type == ActionType.RETRY:
        blast = blasts.of_action(action, seen, blasts.Radii(ground, [action]))
        seen = replace(seen, blast=blast)
    seen = replace(seen, in_flight=facts.in_flight(action, ground))
    if action.vendor is None:
        return seen
    admitted = breaker.peek(action.vendor, call_id=str(action.pk), now=now)
    limit = admitted.in_force.rate_limit
    seen = facts.with_vendor(seen, action, admitted, ground)
    return replace(seen, rate=facts.rate(limit, limits.peek(action.vendor, limit, now=now)))


def _earliest(action: Action, verdict: gate.Verdict, *, now: datetime) -> datetime | None:
    if action.status == Status.AWAITING_APPROVAL:
        return None  # whatever the gates say by now, only a person moves it
    if not verdict.failed:
        return max(action.run_at, now)
    clears_at = verdict.earliest_possible_at
    # Nothing brings it forward when its gates clear sooner than foreseen.
    return None if clears_at is None else max(action.run_at, clears_at, now)


def _unplanned(run: Run, last: Action | None, *, now: datetime) -> Explanation:
    incident = _told_by(run)
    if incident is None or run.state not in UNRECOVERED:
        return _nothing_to_retry("no")
    in_force = decisions.rules_for(incident)
    seen = replace(
        _seen(_would_be(run, incident, in_force, now=now), now=now),
        retry_rule=_rule(incident, in_force),
        retry_url=_url(incident),
        storm=decisions.storm_of(incident),
        attempts=gate.Window(last.attempts_made, last.attempts_max) if last else None,
    )
    verdict = gate.check(seen)
    said = verdict.reason or run.recovery_note or (last.waiting_reason if last else "")
    return Explanation(verdict.effect, said or "Nothing is planned for it.", verdict.gates)


def _told_by(run: Run) -> Incident | None:
    mine = Incident.objects.for_tenant(run.tenant_id).select_related("tenant", "workflow", "vendor")
    found: Incident | None = mine.filter(pk__in=[run.incident_id]).first()
    return found


def _would_be(run: Run, incident: Incident, in_force: Effective, *, now: datetime) -> Action:
    """The retry that planning would make; never stored."""
    return Action(
        tenant=incident.tenant,
        action_type=ActionType.RETRY,
        incident=incident,
        run=run,
        workflow=incident.workflow,
        vendor=incident.vendor,
        attempts_max=in_force.retry.max_retries,
        run_at=now,
    )


def _rule(incident: Incident, in_force: Effective) -> gate.Needed:
    """What the decision goes by, as it would be taken now."""
    chosen = decisions.choose(
        in_force=in_force,
        severity=incident.severity,
        has_retry_url=True,
        classification=incident.classification,
    )
    is_met = chosen.choice == Choice.RETRY
    source = in_force.values["retry.max_retries" if is_met else "retry.enabled"].source
    value = f"up to {in_force.retry.max_retries} retries" if is_met else "no retry"
    why = chosen.reasons[1]
    return gate.Needed(is_met, value, "a retry", source, detail=f"{why[:1].upper()}{why[1:]}.")


def _url(incident: Incident) -> gate.Needed:
    has_url = bool(incident.workflow.retry_url)
    return gate.Needed(
        has_url,
        "set" if has_url else "none",
        "set",
        f"workflow {incident.workflow.slug}",
        detail="The workflow has no retry URL: nobody to call.",
    )


def _nothing_to_retry(value: str) -> Explanation:
    verdict = gate.check(gate.Facts(action_type="", is_still_needed=False))
    needed = replace(verdict.gates[0], value=value, detail="No run waits for a retry.")
    return Explanation("skip", needed.detail, (needed,))
