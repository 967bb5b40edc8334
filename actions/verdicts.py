"""The only place that says what an ended call makes of its action: done, to be tried again, or given up for people."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import random

from actions import lifecycle, retry, terms, verification
from actions.executors.base import Result
from actions.lifecycle import Change
from actions.models import Action
from actions.states import ASKS_WORKFLOW, ActionType, Status
from tenants.states import Idempotent


@dataclass(frozen=True)
class Settled:
    """What the journal says of an action, and why people are needed; empty: they are not."""

    change: Change
    told: str = ""


def judge(action: Action, result: Result, *, now: datetime) -> Settled:
    """Move a locked action that is under way; its run has been read. Nothing is stored yet."""
    return _JUDGED[_ending(action, result)](action, result, now=now)


def _ending(action: Action, result: Result) -> str:
    """What the run says of itself counts for more than what we saw."""
    if action.action_type not in ASKS_WORKFLOW or action.run is None:
        return result.ending
    return "succeeded" if verification.succeeded_since(action.run, action) else result.ending


def _succeeded(action: Action, result: Result, *, now: datetime) -> Settled:
    action.settled_at, action.waiting_reason = now, ""
    action.result = {"status": result.response_status, "excerpt": result.excerpt[:500]}
    return Settled(lifecycle.moved(action, Status.COMPLETED, "completed"))


def _retryable(action: Action, result: Result, *, now: datetime) -> Settled:
    if action.attempts_made >= action.attempts_max:
        return _exhausted(action, result, now=now)
    wait = retry.delay_seconds(
        terms.policy_of(action),
        attempt=action.attempts_made + 1,
        random=random,
        retry_after_seconds=result.retry_after_seconds,
        previous_seconds=action.result.get("waited_seconds"),
    )
    action.result = {"waited_seconds": wait}
    action.run_at = now + timedelta(seconds=wait)
    action.waiting_reason = result.error[:300]
    change = lifecycle.moved(
        action,
        Status.PENDING,
        "attempt_failed",
        attempt=action.attempts_made,
        error=result.error,
        next_at=action.run_at.isoformat(),
    )
    return Settled(change)


def _final(action: Action, result: Result, *, now: datetime) -> Settled:
    what = "compensation" if action.action_type == ActionType.ROLLBACK else "retry"
    reason = f"A {what} was refused: {result.error}"
    return _given_up(action, Status.FAILED, reason, result, now=now)


def _exhausted(action: Action, result: Result, *, now: datetime) -> Settled:
    reason = f"All {action.attempts_made} attempts failed; the last one: {result.error}"
    return _given_up(action, Status.FAILED, reason, result, now=now)


def _unknown(action: Action, result: Result, *, now: datetime) -> Settled:
    """An outcome we could not see is sent again only where that is harmless, with the same key."""
    if action.action_type not in ASKS_WORKFLOW:
        return _retryable(action, result, now=now)  # telling people twice beats not telling them
    harmless = action.workflow and action.workflow.idempotent in (Idempotent.YES, Idempotent.KEY)
    if harmless and action.attempts_made < action.attempts_max:
        return _retryable(action, result, now=now)
    reason = f"The outcome of attempt {action.attempts_made} is unknown: {result.error}"
    return _given_up(action, Status.UNKNOWN, reason, result, now=now)


def _given_up(
    action: Action, status: Status, reason: str, result: Result, *, now: datetime
) -> Settled:
    action.settled_at, action.waiting_reason = now, reason[:300]
    action.result = {"status": result.response_status, "error": result.error}
    verb = "outcome_unknown" if status == Status.UNKNOWN else "failed"
    change = lifecycle.moved(action, status, verb, error=result.error)
    return Settled(change, reason if action.action_type in ASKS_WORKFLOW else "")


_JUDGED: Mapping[str, Callable[..., Settled]] = {
    "succeeded": _succeeded,
    "retryable": _retryable,
    "final": _final,
    "unknown": _unknown,
}
