"""The start transaction: the gate decides once more, and only "go" commits an attempt as `started`."""

from dataclasses import replace
from datetime import datetime, timedelta
from random import random
from uuid import UUID

from actions import approvals, blasts, calls, canary, claiming, facts, lifecycle
from actions.executors.base import Call
from actions.lifecycle import Change
from actions.models import Action, Attempt
from actions.states import ASKS_WORKFLOW, ActionType, Status, Verification
from awfdrs_site.lib import metrics
from incidents.states import RunState
from safety import breaker, budget, gate, limits
from safety.breaker import Admitted
from tenants import journal, scoping
from tenants.journal import SYSTEM

LEASE_MARGIN = timedelta(
    seconds=calls.HTTP_DEADLINE_SECONDS + 10
)  # less lease than this left: start nothing
LOOKED_AT = ("tenant", "workflow", "vendor", "decision", "approval", "campaign", "incident")
SPREAD_SECONDS = 0.5  # actions released at one instant do not all come back at it
LONGEST_QUEUE = timedelta(minutes=1)


def start(*, tenant_id: UUID, action_id: UUID, token: int) -> Call | None:
    """Commit the next attempt as `started` and return its call; None when the gate (or a lost lease) says no."""
    with scoping.bound(tenant_id, durable=True) as now:
        mine = Action.objects.for_tenant(tenant_id).select_related(*LOOKED_AT)
        action: Action | None = (
            mine.filter(pk=action_id, lease_token=token, status=Status.PENDING)
            .select_for_update(of=("self",))
            .first()
        )
        if action is None or action.lease_until is None or action.lease_until - now < LEASE_MARGIN:
            return None
        verdict, admitted = _ask(action, now=now)
        action.gates = verdict.as_json()
        if verdict.effect != "go":
            _hold(action, verdict, now=now)
            return None
        if admitted is not None:
            admitted.keep(now=now)
        canary.use_up(action, now=now)
        return _begin(action, admitted, token=token, now=now)


def _ask(action: Action, *, now: datetime) -> tuple[gate.Verdict, Admitted | None]:
    """Cheap gates first: a probe's lease and a rate token are only asked for when all else passes."""
    seen = facts.of_action(action, now=now, lock=True)
    verdict = gate.check(seen)
    if verdict.effect != "go" or action.action_type != ActionType.RETRY:
        return verdict, None
    facts.take_turn(action)
    blast = blasts.at_start(action, seen, now=now)
    seen = replace(seen, in_flight=facts.in_flight(action, now=now), blast=blast)
    if action.vendor is None:
        return gate.check(seen), None
    admitted = breaker.admit(action.vendor, call_id=str(action.pk), now=now)
    seen = facts.with_vendor(seen, action, admitted, now=now)
    verdict = gate.check(seen)
    if verdict.effect == "go":
        limit = admitted.in_force.rate_limit
        taken = limits.take(action.vendor, limit, now=now)
        verdict = gate.check(replace(seen, rate=facts.rate(limit, taken)))
    return verdict, admitted


def _hold(action: Action, verdict: gate.Verdict, *, now: datetime) -> None:
    """Park, wait, ask a person or give it up, as the first failing gate says."""
    waited_for, reason = action.waiting_reason, verdict.reason[:300]
    action.waiting_reason = reason
    if verdict.effect == "wait":
        metrics.SAFETY_LIMITS.labels(str(action.tenant_id), verdict.failed[0].name).inc()
        action.run_at = _next_look(action, verdict, now=now)
        # A thousand actions that poll one half-open breaker say so once each, not every second.
        change = Change("waits", {"reason": reason, "until": action.run_at.isoformat()})
        lifecycle.save(action, None if waited_for == reason else change, by=SYSTEM, now=now)
        return
    moves = {
        "park": (Status.PARKED, "parked"),
        "approve": (Status.AWAITING_APPROVAL, "awaits_approval"),
        "skip": (Status.SKIPPED, "skipped"),
        "fail": (Status.SKIPPED, "skipped"),
    }
    status, verb = moves[verdict.effect]
    lifecycle.move(action, status, verb, by=SYSTEM, now=now, reason=reason)
    if status == Status.AWAITING_APPROVAL:
        approvals.ask([action], by=SYSTEM, now=now)


def _next_look(action: Action, verdict: gate.Verdict, *, now: datetime) -> datetime:
    """When the last failing gate clears; in a queue for it each takes the place behind the others.

    Were they all to come back for the first place that is free, each place would cost as many starts as there are
    actions waiting. Nobody looks less often than once a minute: places may come faster than now foreseen.
    """
    clears_at = max(verdict.earliest_possible_at or now, now)
    behind = timedelta()
    if verdict.apart:
        # Those before it in the queue wait for the same place or a later one.
        after = max(now, clears_at - verdict.apart)
        behind = verdict.apart * claiming.queued(action, after=after)
    spread = timedelta(seconds=random() * SPREAD_SECONDS)  # noqa: S311
    return clears_at + min(behind, LONGEST_QUEUE) + spread


def _begin(action: Action, admitted: Admitted | None, *, token: int, now: datetime) -> Call:
    action.attempts_made += 1
    action.started_at = action.started_at or now
    action.waiting_reason = ""
    if action.action_type in ASKS_WORKFLOW:
        action.verification = Verification.PENDING
    call = calls.of(action, now=now)
    Attempt.objects.create(
        tenant_id=action.tenant_id,
        action=action,
        number=action.attempts_made,
        workflow_id=action.workflow_id,
        run_id=action.run_id,
        vendor_id=action.vendor_id,
        is_unattended=not action.parameters.get("approved_by"),
        lease_token=token,
        breaker_epoch=admitted.admission.epoch if admitted else None,
        request=calls.as_request(call),
        started_at=now,
    )
    lifecycle.move(
        action, Status.IN_PROGRESS, "started", by=SYSTEM, now=now, attempt=action.attempts_made
    )
    if action.action_type == ActionType.RETRY:
        if action.vendor is not None:
            budget.spend(action.vendor, is_of_campaign=action.campaign_id is not None, now=now)
        run = action.run  # held since the gate looked at it
        assert run is not None
        run.attempted_at, run.state = now, RunState.RETRY_SCHEDULED
        run.version += 1
        run.save(update_fields=["attempted_at", "state", "version"])
        journal.announce(run)
    return call
