"""Runs due actions: claim, start, perform, settle. Nobody sends without a committed `started` attempt.

1. claim   [tx, pipeline]  lease due rows with a fencing token.
2. start   [tx, tenant]    the gate decides again; only "go" inserts the attempt and commits it as `started`.
3. perform [no tx]         the executor's call, within its deadline.
4. settle  [tx, tenant]    write the outcome where the token still fits; a stale worker changes nothing.
"""

import logging
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import partial
from random import random
from threading import Lock
from typing import Any
from uuid import UUID

from django.db import connection

from actions import claiming, lifecycle, planning, retry, verification, waves
from actions.claiming import Claim as Claim
from actions.executors import compensate as compensate_executor
from actions.executors import escalate as escalate_executor
from actions.executors import notify as notify_executor
from actions.executors import retry as retry_executor
from actions.executors import ticket as ticket_executor
from actions.executors.base import Call, Executor, Result
from actions.models import Action
from actions.states import ASKS_WORKFLOW, ActionType, AttemptStatus, Status
from actions.waves import Wave
from awfdrs_site.lib import correlation, sweeping, tracing
from awfdrs_site.lib.failpoints import failpoint
from incidents.states import RunState
from safety import breaker
from tenants import journal, scoping
from tenants.journal import SYSTEM
from tenants.models import Vendor
from tenants.states import Idempotent

logger = logging.getLogger(__name__)

BATCH = 50
EXECUTORS: dict[str, Executor] = {
    ActionType.RETRY: retry_executor.perform,
    ActionType.ROLLBACK: compensate_executor.perform,
    ActionType.ESCALATE: escalate_executor.perform,
    ActionType.NOTIFY: notify_executor.perform,
    ActionType.TICKET: ticket_executor.perform,
}
_ATTEMPT_ENDINGS = {
    "succeeded": AttemptStatus.SUCCEEDED,
    "retryable": AttemptStatus.FAILED,
    "final": AttemptStatus.FAILED,
    "unknown": AttemptStatus.UNKNOWN,
}
# What a settlement neither reads nor writes is left where it is: the verdict of the gates is the longest of it.
_UNREAD = ("gates", "previous_state")
_READ = ", ".join(
    f"action.{field.column}" for field in Action._meta.concrete_fields if field.name not in _UNREAD
)
CALLING = f"""
select {_READ}, attempt.id as attempt_id, attempt.breaker_epoch, vendor.name as vendor_name
from actions_action action join actions_attempt attempt
  on attempt.tenant_id = action.tenant_id and attempt.action_id = action.id and attempt.number = action.attempts_made
left join tenants_vendor vendor on vendor.tenant_id = action.tenant_id and vendor.id = action.vendor_id
where action.tenant_id = %(tenant)s and action.id = %(id)s and action.lease_token = %(token)s
  and action.status = 'in_progress'
for update of action, attempt
"""  # noqa: S608  # of constants
FINISH = """
update actions_attempt set status = %(status)s, response_status = %(response_status)s, response_excerpt = %(excerpt)s,
  error = %(error)s, latency_ms = %(latency_ms)s, finished_at = %(now)s
where tenant_id = %(tenant)s and id = %(id)s
"""

_under_way: Counter[UUID] = Counter()  # what this process is calling for each tenant
_counting = Lock()


def run_due(
    *,
    limit: int = BATCH,
    spare: int = 0,
    submit: Callable[[Callable[[], None]], object] = sweeping.now_and_here,
    together: int = 1,
) -> int:
    """The sweep: claim due actions and hand each to `submit` (a pool's, or run here); returns how many.

    The last `spare` of the places go to tenants for whom nothing is under way here: whoever fills a worker with
    slow calls keeps nobody else out. `together`: how many jobs `submit` runs beside one another. As many actions of
    one tenant start in one transaction, and none of them may wait for another's call then.
    """
    with _counting:
        under_way = dict(+_under_way)
    claims = claiming.due(limit=limit, spare=spare, under_way=under_way)
    failpoint("action.after_claim")
    for wave in waves.of(claims, at_most=together):
        for claim in wave.claims:
            with _counting:
                _under_way[claim.tenant_id] += 1
            submit(partial(_run_counted, claim, wave))
    return len(claims)


def _run_counted(claim: Claim, wave: Wave) -> None:
    try:
        run(claim, start=wave.start)
    finally:
        with _counting:
            _under_way[claim.tenant_id] -= 1


def run(claim: Claim, *, start: Callable[[Claim], Call | None] = waves.start_alone) -> None:
    """One action from its claim to its settlement. Never raises: what breaks is found by its lease."""
    try:
        call = start(claim)
        if call is None:
            return
        with correlation.correlated(call.correlation_id), _traced(call) as say:
            failpoint("action.after_started_commit")
            result = EXECUTORS[call.action_type](call)
            say(ending=result.ending, response_status=result.response_status or 0)
            failpoint("action.after_send_before_result")
            settle(claim, result)
            failpoint("action.after_result")
    except Exception:
        logger.exception("action %s was left to its lease", claim.action_id)


def _traced(call: Call) -> AbstractContextManager[tracing.Say]:
    """The attempt's span, whose id goes out with it; before the first one the action's, from its plan until now."""
    about = {"tenant": str(call.tenant_id), "action": str(call.action_id), "type": call.action_type}
    if call.attempt == 1:
        tracing.note(
            "action",
            correlation_id=call.correlation_id,
            about=call.action_id,
            after=call.decision_id,
            since=call.planned_at,
            **about,
        )
    about |= {"attempt": str(call.attempt)}
    return tracing.span(
        "attempt", correlation_id=call.correlation_id, after=call.action_id, **about
    )


def rescue_lost(*, limit: int = BATCH) -> int:
    """Settle attempts whose worker died: their outcome is unknown, and that is what they become."""
    claims = claiming.lost(limit=limit)
    for claim in claims:
        settle(claim, Result("unknown", error="The worker stopped before it saw the answer."))
    return len(claims)


def settle(claim: Claim, result: Result) -> Action | None:
    """Write what became of the attempt; None when the lease was lost meanwhile (a late result)."""
    with scoping.bound(claim.tenant_id, durable=True) as now:
        action = _calling(claim)
        if action is None:
            _note_late_result(claim, result, now=now)
            return None
        _finish(action, result, now=now)
        ending = result.ending
        if ending != "succeeded" and verification.has_evidence(action):
            ending = "succeeded"  # what the run says of itself counts for more than what we saw
        _SETTLE[ending](action, result, now=now)
        if action.vendor_name and action.action_type == ActionType.RETRY:
            breaker.record(
                Vendor(id=action.vendor_id, tenant_id=action.tenant_id, name=action.vendor_name),
                [result.says_vendor_is],
                now=now,
                call_id=str(action.pk),
                epoch=action.breaker_epoch,
                latency_ms=result.latency_ms,
                cause="our own retries",
            )
    settled: Action = action
    return settled


def _calling(claim: Claim) -> Any:
    """The action, with what its attempt and its vendor say that settling asks for; held until the transaction ends."""
    mine = Action.objects.for_tenant(claim.tenant_id)
    about = {"tenant": claim.tenant_id, "id": claim.action_id, "token": claim.token}
    return next(iter(mine.raw(CALLING, about)), None)


def _note_late_result(claim: Claim, result: Result, *, now: datetime) -> None:
    """A worker that lost its lease still saw an answer: people read it, no column changes."""
    logger.warning("late result of action %s changes nothing", claim.action_id)
    action = Action.objects.for_tenant(claim.tenant_id).get(pk=claim.action_id)
    journal.record(
        action,
        "late_result",
        by=SYSTEM,
        at=now,
        ending=result.ending,
        response_status=result.response_status,
        error=result.error[:500],
    )


def _finish(action: Any, result: Result, *, now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            FINISH,
            {
                "tenant": action.tenant_id,
                "id": action.attempt_id,
                "status": str(_ATTEMPT_ENDINGS[result.ending]),
                "response_status": result.response_status,
                "excerpt": result.excerpt,
                "error": result.error[:500],
                "latency_ms": result.latency_ms,
                "now": now,
            },
        )


def _succeeded(action: Action, result: Result, *, now: datetime) -> None:
    action.settled_at, action.waiting_reason = now, ""
    action.result = {"status": result.response_status, "excerpt": result.excerpt[:500]}
    lifecycle.move(action, Status.COMPLETED, "completed", by=SYSTEM, now=now)


def _retryable(action: Action, result: Result, *, now: datetime) -> None:
    if action.attempts_made >= action.attempts_max:
        return _exhausted(action, result, now=now)
    wait = retry.delay_seconds(
        planning.policy_of(action),
        attempt=action.attempts_made + 1,
        random=random,
        retry_after_seconds=result.retry_after_seconds,
        previous_seconds=action.result.get("waited_seconds"),
    )
    action.result = {"waited_seconds": wait}
    action.run_at = now + timedelta(seconds=wait)
    action.waiting_reason = result.error[:300]
    lifecycle.move(
        action,
        Status.PENDING,
        "attempt_failed",
        by=SYSTEM,
        now=now,
        attempt=action.attempts_made,
        error=result.error,
        next_at=action.run_at.isoformat(),
    )


def _final(action: Action, result: Result, *, now: datetime) -> None:
    what = "compensation" if action.action_type == ActionType.ROLLBACK else "retry"
    _give_up(action, Status.FAILED, f"A {what} was refused: {result.error}", result, now=now)


def _exhausted(action: Action, result: Result, *, now: datetime) -> None:
    tries = action.attempts_made
    reason = f"All {tries} attempts failed; the last one: {result.error}"
    _give_up(action, Status.FAILED, reason, result, now=now)


def _unknown(action: Action, result: Result, *, now: datetime) -> None:
    """An outcome we could not see is sent again only where that is harmless, with the same key."""
    if action.action_type not in ASKS_WORKFLOW:
        return _retryable(action, result, now=now)  # telling people twice beats not telling them
    harmless = action.workflow and action.workflow.idempotent in (Idempotent.YES, Idempotent.KEY)
    if harmless and action.attempts_made < action.attempts_max:
        return _retryable(action, result, now=now)
    reason = f"The outcome of attempt {action.attempts_made} is unknown: {result.error}"
    _give_up(action, Status.UNKNOWN, reason, result, now=now)


def _give_up(action: Action, status: Status, reason: str, result: Result, *, now: datetime) -> None:
    action.settled_at, action.waiting_reason = now, reason[:300]
    action.result = {"status": result.response_status, "error": result.error}
    verb = "outcome_unknown" if status == Status.UNKNOWN else "failed"
    lifecycle.move(action, status, verb, by=SYSTEM, now=now, error=result.error)
    if action.action_type not in ASKS_WORKFLOW:
        return
    planning.escalation(lifecycle.waited_for_by(action), reason, now=now)
    if action.action_type == ActionType.RETRY:
        verification.move_run(action, RunState.RETRY_SCHEDULED, RunState.FAILED)


_SETTLE: dict[str, Callable[..., None]] = {
    "succeeded": _succeeded,
    "retryable": _retryable,
    "final": _final,
    "unknown": _unknown,
}
