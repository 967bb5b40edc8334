"""The only place that asks a workflow what became of a call whose answer nobody saw (M33): at its status_url.

1. claim  [tx, pipeline]  lease what is due with a fencing token.
2. read   [tx, tenant]    build the question.
3. ask    [no tx]         one signed GET within its deadline.
4. settle [tx, tenant]    act on the answer where the token still fits; whoever moved the action meanwhile wins.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import random
from typing import Any

from actions import calls, lifecycle, planning, retry, transport, verification
from actions.claiming import Claim
from actions.executors import webhook
from actions.executors.base import Call
from actions.models import Action
from actions.states import ActionType, Status
from awfdrs_site.lib import correlation, strict_json, sweeping, tracing
from incidents.states import RunState
from tenants import scoping
from tenants.journal import SYSTEM
from tenants.states import Idempotent

logger = logging.getLogger(__name__)

BATCH = 20
ASKED_AT_MOST = 12  # with the waits below that is five and a half hours; then people decide
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 30, 3600
# A request may still wait in a queue on its way: that soon, "not found" proves nothing.
BELIEVED_AFTER = timedelta(seconds=60)
ANSWERS = ("succeeded", "failed", "running", "not_found")
UNREADABLE = "unreadable"

_DUE = f"""
with due as (
  select action.id
  from actions_action action join tenants_workflow workflow
    on workflow.tenant_id = action.tenant_id and workflow.id = action.workflow_id
  where action.status = 'unknown' and workflow.status_url <> ''
    and action.run_at <= awf_now() and (action.lease_until is null or action.lease_until < awf_now())
    and coalesce((action.result #>> '{{probe,asked}}')::int, 0) < {ASKED_AT_MOST}
  order by action.run_at, action.id limit %s for update of action skip locked
)
update actions_action action
set lease_token = nextval('awf_lease'), lease_until = awf_now() + interval '60 seconds'
from due where action.id = due.id
returning action.tenant_id, action.id, action.lease_token
"""  # noqa: S608  # a number of ours


@dataclass(frozen=True)
class Heard:
    """What the workflow said of the call; `detail` says why an answer could not be read."""

    word: str
    detail: str = ""


def ask_due(
    *, limit: int = BATCH, submit: Callable[[Callable[[], None]], object] = sweeping.now_and_here
) -> int:
    """The sweep: claim what is due to be asked and hand each to `submit`; returns how many."""
    claims = [Claim(*row) for row in scoping.found(_DUE, [limit])]
    for claim in claims:
        submit(lambda claim=claim: ask(claim))  # type: ignore[misc]
    return len(claims)


def ask(claim: Claim) -> None:
    """One question from its claim to its consequence. Never raises: what breaks is asked again."""
    try:
        call = _question(claim)
        if call is None:
            return
        correlation_id = call.correlation_id
        asked = tracing.span("question", correlation_id=correlation_id, after=call.action_id)
        with correlation.correlated(correlation_id), asked:
            settle(claim, hear(call))
    except Exception:
        logger.exception("the probe of action %s was left to its lease", claim.action_id)


def hear(call: Call) -> Heard:
    """Ask, and read the answer: a JSON object whose `status` is one of four words; else `unreadable`."""
    if call.refusal:
        return Heard(UNREADABLE, call.refusal)
    try:
        answer = webhook.send(call, method="GET")
    except (transport.Refused, transport.NotSent, transport.OutcomeUnknown) as failure:
        return Heard(UNREADABLE, str(failure))
    if not 200 <= answer.status < 300:
        return Heard(UNREADABLE, f"The status_url answered {answer.status}.")
    return _read(answer.excerpt.encode())


def settle(claim: Claim, heard: Heard) -> Action | None:
    """Write what was heard; None when the action was moved, or the lease lost, meanwhile."""
    with scoping.bound(claim.tenant_id, durable=True) as now:
        action = _held(claim, lock=True)
        if action is None:
            return None
        asked = int(action.result.get("probe", {}).get("asked", 0)) + 1
        action.result = {**action.result, "probe": _told(heard, asked, now=now)}
        _CONSEQUENCES[heard.word](action, heard, now=now)
    return action


def _held(claim: Claim, *, lock: bool = False) -> Action | None:
    mine = Action.objects.for_tenant(claim.tenant_id).select_related("workflow", "run")
    held = mine.select_for_update(of=("self",)) if lock else mine
    found: Action | None = held.filter(
        pk=claim.action_id, lease_token=claim.token, status=Status.UNKNOWN
    ).first()
    return found


def _question(claim: Claim) -> Call | None:
    with scoping.bound(claim.tenant_id, durable=True) as now:
        action = _held(claim)
        return None if action is None else calls.probe(action, now=now)


def _read(body: bytes) -> Heard:
    try:
        said = strict_json.loads(body, max_bytes=transport.EXCERPT_BYTES)
    except (strict_json.MalformedJson, strict_json.TooLarge):
        return Heard(UNREADABLE, "The status_url answered something that is not JSON.")
    word = said.get("status") if isinstance(said, Mapping) else None
    if word not in ANSWERS:
        return Heard(UNREADABLE, f"The status_url named no status of {', '.join(ANSWERS)}.")
    return Heard(str(word))


def _told(heard: Heard, asked: int, *, now: datetime) -> dict[str, Any]:
    told = {"asked": asked, "answer": heard.word, "at": now.isoformat()}
    return told | ({"detail": heard.detail} if heard.detail else {})


def _succeeded(action: Action, heard: Heard, *, now: datetime) -> None:
    """It was carried out. That is all: the run's own report still has to verify it."""
    action.settled_at, action.waiting_reason = now, ""
    _move(action, Status.COMPLETED, heard, now=now)
    if action.action_type == ActionType.RETRY:
        verification.move_run(action, RunState.FAILED, RunState.RETRY_SCHEDULED)


def _failed(action: Action, heard: Heard, *, now: datetime) -> None:
    """It was carried out and failed: another attempt is another execution, so the declaration decides."""
    workflow = action.workflow
    repeats = workflow is not None and workflow.idempotent != Idempotent.NO
    if repeats and action.attempts_made < action.attempts_max:
        return _try_again(action, heard, now=now)
    action.settled_at = now
    action.waiting_reason = "The workflow says that the call failed."
    _move(action, Status.FAILED, heard, now=now)


def _not_found(action: Action, heard: Heard, *, now: datetime) -> None:
    """It never arrived, so that sending it is safe whatever the workflow declares; the gate decides again."""
    if action.settled_at is not None and now - action.settled_at < BELIEVED_AFTER:
        return _ask_later(action, heard, now=now)
    if action.attempts_made < action.attempts_max:
        return _try_again(action, heard, now=now)
    action.settled_at = now
    action.waiting_reason = "The call never arrived, and no attempt is left."
    _move(action, Status.FAILED, heard, now=now)


def _ask_later(action: Action, heard: Heard, *, now: datetime) -> None:
    asked = action.result["probe"]["asked"]
    wait = min(FIRST_WAIT_SECONDS * 2 ** (asked - 1), LONGEST_WAIT_SECONDS)
    action.run_at = now + timedelta(seconds=wait)
    what = heard.detail or f"The workflow answers: {heard.word.replace('_', ' ')}."
    ends = "" if asked < ASKED_AT_MOST else " It is not asked again."
    reason = f"{what[:200]} Asked {asked} of {ASKED_AT_MOST} times.{ends}"
    action.waiting_reason = reason
    change = lifecycle.Change("probed", {"answer": heard.word, "reason": reason})
    lifecycle.save(action, change, by=SYSTEM, now=now)


def _try_again(action: Action, heard: Heard, *, now: datetime) -> None:
    wait = 0.0
    if heard.word == "failed":
        attempt = action.attempts_made + 1
        policy = planning.policy_of(action)
        wait = retry.delay_seconds(policy, attempt=attempt, random=random, retry_after_seconds=None)
    action.run_at, action.waiting_reason = now + timedelta(seconds=wait), ""
    _move(action, Status.PENDING, heard, now=now)


def _move(action: Action, status: Status, heard: Heard, *, now: datetime) -> None:
    lifecycle.move(action, status, "probed", by=SYSTEM, now=now, answer=heard.word)


_CONSEQUENCES: dict[str, Callable[..., None]] = {
    "succeeded": _succeeded,
    "failed": _failed,
    "running": _ask_later,
    "not_found": _not_found,
    UNREADABLE: _ask_later,
}
