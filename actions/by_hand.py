"""What people ask for directly: breaker and kill-switch actions, done at once; and undoing, by compare-and-set."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from actions import escalations, lifecycle
from actions.executors import controls
from actions.models import Action
from actions.planning import create_once
from actions.states import REVERSIBLE, ActionType, Status
from incidents import keeping
from incidents import lifecycle as incident_lifecycle
from incidents.models import Incident
from incidents.states import Status as IncidentStatus
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
    """Put back what a completed action of our own state changed; returns the reversing action.

    Raises NotReversible (also the second time) and controls.Conflict; then nothing of it stays.
    """
    with transaction.atomic():
        action = lifecycle.locked(action)
        if not lifecycle.is_reversible(action):
            raise lifecycle.NotReversible(lifecycle.why_not_reversible(action))
        reversing = _begin_reversal(action, reason=reason, by=by, now=now)
        undo = _take_back if action.action_type == ActionType.ESCALATE else controls.undo
        reversing.result = undo(action, reason=reason, by=by, now=now)
        reversing.previous_state = dict(action.result)
        reversing.started_at = reversing.settled_at = now
        lifecycle.move(action, Status.REVERSED, "reversed", by=by, now=now, reason=reason)
        return lifecycle.move(reversing, Status.COMPLETED, "completed", by=by, now=now)


def _begin_reversal(action: Action, *, reason: str, by: Actor, now: datetime) -> Action:
    reversing = Action(
        tenant_id=action.tenant_id,
        action_type=REVERSE_OF[ActionType(action.action_type)],
        dedupe_key=f"reverse:{action.pk}",
        incident_id=action.incident_id,
        vendor_id=action.vendor_id,
        reverses=action,
        parameters={"reason": reason},
        run_at=now,
    )
    stored = lifecycle.locked(create_once(reversing, by=by, now=now))
    return lifecycle.move(stored, Status.IN_PROGRESS, "started", by=by, now=now)


def _take_back(action: Action, *, reason: str, by: Actor, now: datetime) -> dict[str, Any]:
    """The incident is the machine's again and nobody else is told, if it still is as this action left it."""
    incident = keeping.locked(lifecycle.incident_of(action))
    _refuse_if_moved(action, incident)
    escalations.stop(action, now=now)
    # Its purpose is free again: what needs people later is told anew.
    action.dedupe_key = f"taken back:{action.pk}"
    action.save(update_fields=["dedupe_key"])
    incident_lifecycle.analyze(incident, by=by, now=now, note=reason)
    return {"status": incident.status}


def _refuse_if_moved(action: Action, incident: Incident) -> None:
    # An action that escalates its incident is made at that very moment; any other one only told people.
    if incident.status == IncidentStatus.ESCALATED and incident.escalated_at == action.created_at:
        return
    why = f"{incident} was moved by others: it is {incident.status} now."
    if incident.status == IncidentStatus.ESCALATED:
        why = f"{incident} was not escalated by this action."
    since = incident.escalated_at.isoformat() if incident.escalated_at else None
    raise controls.Conflict(
        why,
        found={"status": incident.status, "escalated_at": since},
        wanted={"status": str(IncidentStatus.ANALYZING)},
    )


REVERSE_OF = {
    ActionType.CIRCUIT_BREAKER_OPEN: ActionType.CIRCUIT_BREAKER_CLOSE,
    ActionType.CIRCUIT_BREAKER_CLOSE: ActionType.CIRCUIT_BREAKER_OPEN,
    ActionType.KILL_SWITCH_ACTIVATE: ActionType.KILL_SWITCH_DEACTIVATE,
    ActionType.KILL_SWITCH_DEACTIVATE: ActionType.KILL_SWITCH_ACTIVATE,
    ActionType.ESCALATE: ActionType.ROLLBACK,
}
assert set(REVERSE_OF) == set(REVERSIBLE)
