"""The start transaction: the gate decides once more, and only "go" commits an attempt as `started`."""

from dataclasses import replace
from datetime import datetime, timedelta
from random import random
from uuid import UUID

from django.db.models import Min

from actions import calls, lifecycle
from actions.executors.base import Call
from actions.lifecycle import Change
from actions.models import Action, Attempt
from actions.states import ActionType, Status, Verification
from awfdrs_site.lib import metrics
from incidents import decisions
from incidents.models import Incident
from incidents.states import UNRECOVERED, RunState
from incidents.states import Status as IncidentStatus
from safety import breaker, gate, killswitch, limits, rules
from safety.breaker import Admitted
from safety.ruletypes import RateLimit
from tenants import journal, scoping
from tenants.journal import SYSTEM
from tenants.models import Vendor

LEASE_MARGIN = timedelta(
    seconds=calls.HTTP_DEADLINE_SECONDS + 10
)  # less lease than this left: start nothing
HALF_OPEN_POLL = timedelta(seconds=1)  # probes answer soon; their leases end much later
SPREAD_SECONDS = 0.5  # actions released at one instant do not all come back at it
HOUR = timedelta(hours=1)


def start(*, tenant_id: UUID, action_id: UUID, token: int) -> Call | None:
    """Commit the next attempt as `started` and return its call; None when the gate (or a lost lease) says no."""
    with scoping.bound(tenant_id, durable=True) as now:
        mine = Action.objects.for_tenant(tenant_id).select_related("workflow", "vendor", "decision")
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
        return _begin(action, admitted, token=token, now=now)


def facts_now(action: Action, *, now: datetime, lock: bool) -> gate.Facts:
    """The gate's facts, but for breaker and rate; `lock` holds kill switches and run until the end."""
    scopes = killswitch.Scopes(
        action.tenant_id, action.action_type, action.workflow_id, action.vendor_id
    )
    look = killswitch.lock_and_read if lock else killswitch.holding
    switches = [f"{held.scope} switch: {held.reason}" for held in look(scopes, now=now)]
    if action.action_type != ActionType.RETRY:
        return gate.Facts(action_type=action.action_type, switches=switches)
    incident = lifecycle.incident_of(action)
    permission = decisions.facts_of_permission(incident)
    # Held before the breaker's row: runs come before breakers in the lock order.
    run = lifecycle.run_of(action, lock=lock)
    return replace(
        permission,
        switches=switches,
        is_approved=bool(action.parameters.get("approved_by")),
        is_still_needed=run.state in UNRECOVERED and not _is_ignored(incident, run.incident),
        attempts=gate.Window(action.attempts_made, action.attempts_max),
        run_attempts=_window(action, "run_id", limit="MAX_RETRIES_PER_WORKFLOW", now=now),
    )


def _is_ignored(*incidents: Incident | None) -> bool:
    """The retry's own incident or, after a merge, the one that waits for the run."""
    return any(one is not None and one.status == IncidentStatus.IGNORED for one in incidents)


def _ask(action: Action, *, now: datetime) -> tuple[gate.Verdict, Admitted | None]:
    """Cheap gates first: a probe's lease and a rate token are only asked for when all else passes."""
    facts = facts_now(action, now=now, lock=True)
    verdict = gate.check(facts)
    if verdict.effect != "go" or action.vendor is None or action.action_type != ActionType.RETRY:
        return verdict, None
    admitted = breaker.admit(action.vendor, call_id=str(action.pk), now=now)
    # The breaker's row is locked from here on, so that this count is exact for the vendor.
    facts = replace(
        facts,
        breaker=_permit(admitted, now=now),
        vendor_attempts=_window(action, "vendor_id", limit="MAX_RETRIES_PER_VENDOR", now=now),
    )
    verdict = gate.check(facts)
    if verdict.effect == "go":
        taken = _take(action.vendor, admitted.in_force.rate_limit, now=now)
        verdict = gate.check(replace(facts, rate=taken))
    return verdict, admitted


def _permit(admitted: Admitted, *, now: datetime) -> gate.Permit:
    answer = admitted.admission
    clears_at = answer.retry_at
    if admitted.state.state == "half_open" and not answer.allowed:
        clears_at = now + HALF_OPEN_POLL
    return gate.Permit(answer.allowed, clears_at, answer.reason)


def _take(vendor: Vendor, limit: RateLimit, *, now: datetime) -> gate.Permit:
    taken = limits.take(vendor, limit, now=now)
    reason = f"{limit.requests_per_second:g}/s and its burst"
    return gate.Permit(taken.allowed, taken.clears_at, reason)


def _window(action: Action, column: str, *, limit: str, now: datetime) -> gate.Window | None:
    value = getattr(action, column)
    if value is None:
        return None
    recent = Attempt.objects.for_tenant(action.tenant_id).filter(
        started_at__gt=now - HOUR, is_unattended=True, **{column: value}
    )
    made = recent.count()
    oldest = recent.aggregate(oldest=Min("started_at"))["oldest"] if made else None
    return gate.Window(made, int(str(rules.environment()[limit])), oldest)


def _hold(action: Action, verdict: gate.Verdict, *, now: datetime) -> None:
    """Park, wait, ask a person or give it up, as the first failing gate says."""
    waited_for, reason = action.waiting_reason, verdict.reason[:300]
    action.waiting_reason = reason
    if verdict.effect == "wait":
        metrics.SAFETY_LIMITS.labels(str(action.tenant_id), verdict.failed[0].name).inc()
        clears_at = max(verdict.earliest_possible_at or now, now)
        action.run_at = clears_at + timedelta(seconds=random() * SPREAD_SECONDS)  # noqa: S311
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


def _begin(action: Action, admitted: Admitted | None, *, token: int, now: datetime) -> Call:
    action.attempts_made += 1
    action.started_at = action.started_at or now
    action.waiting_reason = ""
    if action.action_type == ActionType.RETRY:
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
    if action.run_id:
        run = lifecycle.run_of(action, lock=True)
        run.attempted_at, run.state = now, RunState.RETRY_SCHEDULED
        run.version += 1
        run.save(update_fields=["attempted_at", "state", "version"])
        journal.announce(run)
    return call
