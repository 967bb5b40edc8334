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
from functools import partial
from threading import Lock
from uuid import UUID

from actions import claiming, ended, waves
from actions.claiming import Claim as Claim
from actions.executors import compensate as compensate_executor
from actions.executors import escalate as escalate_executor
from actions.executors import notify as notify_executor
from actions.executors import retry as retry_executor
from actions.executors import ticket as ticket_executor
from actions.executors.base import Call, Executor, Result
from actions.models import Action
from actions.settling import Ended
from actions.states import ActionType
from actions.waves import Wave
from awfdrs_site.lib import correlation, sweeping, tracing
from awfdrs_site.lib.failpoints import failpoint

logger = logging.getLogger(__name__)

BATCH = 50
EXECUTORS: dict[str, Executor] = {
    ActionType.RETRY: retry_executor.perform,
    ActionType.ROLLBACK: compensate_executor.perform,
    ActionType.ESCALATE: escalate_executor.perform,
    ActionType.NOTIFY: notify_executor.perform,
    ActionType.TICKET: ticket_executor.perform,
}

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
    return ended.settle(Ended(claim, result))
