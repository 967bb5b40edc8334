"""The only place that writes down a run's retry: to be sent, to be asked about, or on paper only."""

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from actions import approvals, retry
from actions.models import Action
from actions.states import ActionType, Status
from incidents import decisions
from incidents.models import Decision, Incident, Run
from safety import gate
from safety.effective import Effective
from tenants import journal
from tenants.journal import SYSTEM


def retries(
    incident: Incident,
    decision: Decision,
    runs: Sequence[Run],
    in_force: Effective,
    *,
    now: datetime,
    dice: Callable[[], float] = random.random,
) -> list[Action]:
    """One for each run as `incident` tells it, not stored yet. `dice` answer from [0, 1) for the jitter."""
    record = _record(decision)
    facts = decisions.facts_of_permission(incident, mode=_asking(in_force), record=record)
    verdict = gate.check(facts)
    return [_retry(incident, decision, run, in_force, verdict, now=now, dice=dice) for run in runs]


def on_paper(action: Action, *, now: datetime) -> Action:
    """The same, over before it began: it says what it would have done."""
    would = "waited for approval" if action.status == Status.AWAITING_APPROVAL else "run"
    action.status, action.settled_at = Status.SKIPPED, now
    # A key of its own: a decision that lets the run's retry go is not served by this one.
    action.dedupe_key = action.dedupe_key.replace("retry:", "shadow:", 1)
    action.waiting_reason = (
        f"Shadow: it would have {would} at {action.run_at:%Y-%m-%d %H:%M:%S} UTC."
    )
    return action


def is_planned(action: Action) -> bool:
    """Whether it may still happen."""
    return action.status != Status.SKIPPED


def store(actions: Sequence[Action], *, now: datetime) -> list[Action]:
    """Insert what is not there yet, with a line each, and ask people about what waits for them."""
    if not actions:
        return []
    Action.objects.bulk_create(actions, ignore_conflicts=True)
    mine = Action.objects.for_tenant(actions[0].tenant_id)
    stored = list(mine.filter(pk__in=[action.pk for action in actions]).order_by("id"))
    journal.record_many(map(_line, stored), by=SYSTEM, at=now)
    waiting = [action for action in stored if action.status == Status.AWAITING_APPROVAL]
    approvals.ask(waiting, by=SYSTEM, now=now)
    return stored


def _asking(in_force: Effective) -> str:
    """What is on paper says what would happen if it were not."""
    return "approve" if in_force.mode == "approve" else "auto"


def _record(decision: Decision) -> Any:
    return (decision.inputs or {}).get("track_record")


def _policy(in_force: Effective, decision: Decision) -> dict[str, Any]:
    """As resolved now; with how retries like it did before, where the decision knew it."""
    policy = {**in_force.retry_as_json(), "mode": in_force.mode}
    record = _record(decision)
    return {**policy, "track_record": record} if record else policy


def _retry(
    incident: Incident,
    decision: Decision,
    run: Run,
    in_force: Effective,
    verdict: gate.Verdict,
    *,
    now: datetime,
    dice: Callable[[], float],
) -> Action:
    policy = in_force.retry
    wait = retry.delay_seconds(policy, attempt=1, random=dice, retry_after_seconds=None)
    needs_person = verdict.effect == "approve"
    return Action(
        tenant_id=incident.tenant_id,
        action_type=ActionType.RETRY,
        status=Status.AWAITING_APPROVAL if needs_person else Status.PENDING,
        dedupe_key=f"retry:{run.pk}:{run.episode}:{decision.pk}",
        incident=incident,
        run=run,
        decision=decision,
        workflow_id=incident.workflow_id,
        vendor_id=incident.vendor_id,
        policy=_policy(in_force, decision),
        gates=verdict.as_json(),
        result={"waited_seconds": wait},  # decorrelated jitter spreads the next wait by it
        waiting_reason=verdict.reason[:300],
        attempts_max=policy.max_retries,
        run_at=now + timedelta(seconds=wait),
        requested_by=SYSTEM.label,
        correlation_id=decision.correlation_id,
        created_at=now,
    )


def _line(action: Action) -> journal.Line:
    return journal.Line(
        action,
        "planned",
        {
            "action_type": action.action_type,
            "status": action.status,
            "run_at": action.run_at.isoformat(),
            "incident": str(action.incident_id),
            "run": str(action.run_id),
        },
    )
