"""Breaker and kill-switch actions: applied inside the settling transaction, with the state a reversal puts back."""

from datetime import datetime
from typing import Any

from actions.models import Action
from actions.states import ActionType
from safety import breaker, killswitch
from safety.models import CircuitBreaker, KillSwitch
from tenants.journal import Actor


class Conflict(Exception):
    """The state moved meanwhile, so putting the old one back would undo somebody else's change."""


def apply(action: Action, *, by: Actor, now: datetime) -> tuple[dict[str, Any], dict[str, Any]]:
    """Do it; returns (previous state, result). Raises Conflict, AlreadyActive."""
    if action.action_type in (ActionType.CIRCUIT_BREAKER_OPEN, ActionType.CIRCUIT_BREAKER_CLOSE):
        return _force(action, by=by, now=now)
    if action.action_type == ActionType.KILL_SWITCH_ACTIVATE:
        switch = killswitch.activate(
            tenant_id=action.tenant_id,
            scope=action.parameters["scope"],
            target=action.parameters.get("target", ""),
            reason=action.parameters["reason"],
            expires_at=None,
            by=by,
            now=now,
        )
        return {"active": False}, {"switch": str(switch.pk)}
    switch = KillSwitch.objects.for_tenant(action.tenant_id).get(pk=action.parameters["switch"])
    killswitch.lift(switch, reason=action.parameters["reason"], by=by, now=now)
    return {"active": True}, {"switch": str(switch.pk)}


def undo(action: Action, *, reason: str, by: Actor, now: datetime) -> dict[str, Any]:
    """Put the stored previous state back if nobody changed it since (compare-and-set). Raises Conflict."""
    if action.action_type in (ActionType.CIRCUIT_BREAKER_OPEN, ActionType.CIRCUIT_BREAKER_CLOSE):
        return _unforce(action, reason=reason, by=by, now=now)
    switch: KillSwitch = KillSwitch.objects.for_tenant(action.tenant_id).get(
        pk=action.result["switch"]
    )
    if action.action_type == ActionType.KILL_SWITCH_ACTIVATE:
        if switch.lifted_at is not None:
            raise Conflict("The kill switch has been lifted meanwhile.")
        killswitch.lift(switch, reason=reason, by=by, now=now)
        return {"switch": str(switch.pk)}
    try:
        again = killswitch.activate(
            tenant_id=switch.tenant_id,
            scope=switch.scope,
            target=switch.target,
            reason=reason,
            expires_at=None,
            by=by,
            now=now,
        )
    except killswitch.AlreadyActive:
        raise Conflict("The kill switch has been activated again meanwhile.") from None
    return {"switch": str(again.pk)}


def _force(action: Action, *, by: Actor, now: datetime) -> tuple[dict[str, Any], dict[str, Any]]:
    assert action.vendor is not None
    is_opening = action.action_type == ActionType.CIRCUIT_BREAKER_OPEN
    before = (
        CircuitBreaker.objects.for_tenant(action.tenant_id).filter(vendor=action.vendor).first()
    )
    row = breaker.force(
        action.vendor,
        mode="forced_open" if is_opening else "forced_closed",
        reason=str(action.parameters.get("reason", "")),
        until=None,
        by=by,
        now=now,
    )
    previous = {
        "forced": before.forced if before else "",
        "forced_until": before.forced_until.isoformat() if before and before.forced_until else None,
    }
    return previous, {"forced": row.forced, "version": row.version}


def _unforce(action: Action, *, reason: str, by: Actor, now: datetime) -> dict[str, Any]:
    assert action.vendor is not None
    mine = CircuitBreaker.objects.for_tenant(action.tenant_id).select_for_update()
    row: CircuitBreaker = mine.get(vendor=action.vendor)
    if row.forced != action.result["forced"]:
        raise Conflict(f"The breaker is {row.forced or 'automatic'} now.")
    until = action.previous_state.get("forced_until")
    row = breaker.force(
        action.vendor,
        mode=action.previous_state["forced"] or None,
        reason=reason,
        until=datetime.fromisoformat(until) if until else None,
        by=by,
        now=now,
    )
    return {"forced": row.forced, "version": row.version}
