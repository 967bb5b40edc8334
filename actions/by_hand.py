"""What people ask for directly: breaker and kill-switch actions, done at once and undone on request."""

from datetime import datetime
from typing import Any
from uuid import UUID

from actions import lifecycle
from actions.executors import controls
from actions.models import Action
from actions.planning import create_once
from actions.states import REVERSIBLE, ActionType, Status
from incidents.models import Incident
from tenants.journal import Actor


def request(
    *,
    tenant_id: UUID,
    action_type: str,
    parameters: dict[str, Any],
    by: Actor,
    now: datetime,
    dedupe_key: str,
    incident: Incident | None = None,
    vendor_id: UUID | None = None,
) -> Action:
    """A person's own breaker or kill-switch action: done at once, in the caller's transaction, reversible.

    Idempotent per `dedupe_key`. Raises killswitch.AlreadyActive.
    """
    action = create_once(
        Action(
            tenant_id=tenant_id,
            action_type=action_type,
            dedupe_key=dedupe_key,
            incident=incident,
            vendor_id=vendor_id,
            parameters=parameters,
            run_at=now,
        ),
        by=by,
        now=now,
    )
    if action.status != Status.PENDING:
        return action
    action = lifecycle.move(lifecycle.locked(action), Status.IN_PROGRESS, "started", by=by, now=now)
    action.previous_state, action.result = controls.apply(action, by=by, now=now)
    action.started_at = action.settled_at = now
    return lifecycle.move(action, Status.COMPLETED, "completed", by=by, now=now)


def reverse(action: Action, *, reason: str, by: Actor, now: datetime) -> Action:
    """Put back what a completed control action changed; returns the reversing action.

    Raises NotReversible (also the second time) and controls.Conflict.
    """
    action = lifecycle.locked(action)
    if not lifecycle.is_reversible(action):
        raise lifecycle.NotReversible(lifecycle.why_not_reversible(action))
    reversing = create_once(
        Action(
            tenant_id=action.tenant_id,
            action_type=REVERSE_OF[ActionType(action.action_type)],
            dedupe_key=f"reverse:{action.pk}",
            incident=action.incident,
            vendor_id=action.vendor_id,
            reverses=action,
            parameters={"reason": reason},
            run_at=now,
        ),
        by=by,
        now=now,
    )
    reversing = lifecycle.move(
        lifecycle.locked(reversing), Status.IN_PROGRESS, "started", by=by, now=now
    )
    reversing.result = controls.undo(action, reason=reason, by=by, now=now)
    reversing.started_at = reversing.settled_at = now
    lifecycle.move(action, Status.REVERSED, "reversed", by=by, now=now, reason=reason)
    return lifecycle.move(reversing, Status.COMPLETED, "completed", by=by, now=now)


REVERSE_OF = {
    ActionType.CIRCUIT_BREAKER_OPEN: ActionType.CIRCUIT_BREAKER_CLOSE,
    ActionType.CIRCUIT_BREAKER_CLOSE: ActionType.CIRCUIT_BREAKER_OPEN,
    ActionType.KILL_SWITCH_ACTIVATE: ActionType.KILL_SWITCH_DEACTIVATE,
    ActionType.KILL_SWITCH_DEACTIVATE: ActionType.KILL_SWITCH_ACTIVATE,
}
assert set(REVERSE_OF) == set(REVERSIBLE)
