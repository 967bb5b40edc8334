"""The only place that lets one action past the switches that hold it, and that knows what it may pass: one start."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from actions import lifecycle
from actions.lifecycle import ActionRefused
from actions.models import Action
from actions.states import Status
from safety import killswitch, releases
from safety.killswitch import Held, Scopes
from tenants.journal import Actor

CANARY = "canary"  # in an action's parameters: by whom, why, past which switches
RELEASED = "released"  # the release whose pace its start keeps


class NotHeld(Exception):
    """No kill switch holds it: there is nothing to let it past (-> 409)."""


def let_through(action: Action, *, reason: str, by: Actor, now: datetime) -> Action:
    """Let this one start once while the switches stay on. Quiet when somebody did. Raises ActionRefused, NotHeld.

    Only past the switches that hold it now: one that is set afterwards holds it again, and so does every other gate.
    """
    action = lifecycle.locked(action)
    if action.status == Status.PENDING and CANARY in action.parameters:
        return action
    if action.status != Status.PARKED:
        raise ActionRefused(current=action.status, asked=Status.PENDING)
    held = killswitch.holding(scopes_of(action), now=now)
    if not held:
        raise NotHeld("No kill switch holds this action.")
    past = [str(switch.id) for switch in held]
    action.parameters = {
        **action.parameters,
        CANARY: {"by": by.label, "reason": reason, "switches": past},
    }
    action.run_at, action.waiting_reason = now, f"Let through by {by.label}: {reason}"[:300]
    return lifecycle.move(
        action, Status.PENDING, "canary", by=by, now=now, reason=reason, switches=past
    )


def passes(action: Action, held: Sequence[Held]) -> Collection[UUID]:
    """Those of the switches that somebody let it past."""
    past = action.parameters.get(CANARY, {}).get("switches", ())
    return {switch.id for switch in held if str(switch.id) in past}


def said(action: Action) -> str:
    """As the gate shows it."""
    told = action.parameters[CANARY]
    return f"let through by {told['by']}: {told['reason']}"


def use_up(action: Action, *, now: datetime) -> None:
    """It starts: the permission was for this one, and the pace of its release is kept. The row is locked."""
    if RELEASED in action.parameters:
        release = action.parameters[RELEASED]
        releases.started(release, tenant_id=action.tenant_id, now=now)
    once = (CANARY, RELEASED)
    action.parameters = {name: v for name, v in action.parameters.items() if name not in once}


def scopes_of(action: Action) -> Scopes:
    return Scopes(action.tenant_id, action.action_type, action.workflow_id, action.vendor_id)
