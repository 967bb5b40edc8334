"""Breaker and kill-switch actions: applied inside the settling transaction, with the state a reversal puts back."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from actions.models import Action
from actions.states import ActionType
from safety import breaker, killswitch
from safety.models import CircuitBreaker, KillSwitch
from tenants.journal import Actor


class Conflict(Exception):
    """The state moved meanwhile, so putting the old one back would undo somebody else's change.

    `found` is what it is now, `wanted` what would have been put back: both by name, for people.
    """

    def __init__(self, why: str, *, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        self.why, self.found, self.wanted = why, dict(found), dict(wanted)
        super().__init__(f"{why} Nothing was changed.")


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
        return _lift_again(switch, reason=reason, by=by, now=now)
    return _stop_again(switch, reason=reason, by=by, now=now)


def _lift_again(switch: KillSwitch, *, reason: str, by: Actor, now: datetime) -> dict[str, Any]:
    held = KillSwitch.objects.for_tenant(switch.tenant_id).select_for_update().get(pk=switch.pk)
    if held.lifted_at is not None:
        raise Conflict(
            f"{held.lifted_by} has lifted the kill switch meanwhile.",
            found={"stopped": False, "since": held.lifted_at.isoformat(), "by": held.lifted_by},
            wanted={"stopped": False},
        )
    killswitch.lift(switch, reason=reason, by=by, now=now)
    return {"switch": str(switch.pk)}


def _stop_again(switch: KillSwitch, *, reason: str, by: Actor, now: datetime) -> dict[str, Any]:
    until = switch.expires_at
    wanted = {"stopped": True, "until": until.isoformat() if until else None}
    if until is not None and until <= now:
        why = "The kill switch would have expired meanwhile."
        raise Conflict(why, found={"stopped": False}, wanted=wanted)
    try:
        again = killswitch.activate(
            tenant_id=switch.tenant_id,
            scope=switch.scope,
            target=switch.target,
            reason=reason,
            expires_at=until,
            by=by,
            now=now,
        )
    except killswitch.AlreadyActive:
        raise _stopped_by_others(switch, wanted) from None
    return {"switch": str(again.pk)}


def _stopped_by_others(switch: KillSwitch, wanted: Mapping[str, Any]) -> Conflict:
    mine = KillSwitch.objects.for_tenant(switch.tenant_id)
    other = mine.get(scope=switch.scope, target=switch.target, lifted_at=None)
    return Conflict(
        f"{other.activated_by} has stopped it again meanwhile.",
        found={"stopped": True, "since": other.activated_at.isoformat(), "reason": other.reason},
        wanted=wanted,
    )


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
    previous = _forced(before) if before else _AUTOMATIC
    return dict(previous), {**_forced(row), "version": row.version}


def _unforce(action: Action, *, reason: str, by: Actor, now: datetime) -> dict[str, Any]:
    assert action.vendor is not None
    mine = CircuitBreaker.objects.for_tenant(action.tenant_id).select_for_update()
    row: CircuitBreaker = mine.get(vendor=action.vendor)
    found = _forced(row)
    wanted = {name: action.previous_state.get(name, usual) for name, usual in _AUTOMATIC.items()}
    # Actions of before this version kept less: what they kept is what is compared.
    if any(found[name] != action.result[name] for name in found if name in action.result):
        is_now = row.get_forced_display().lower() or "automatic"
        raise Conflict(f"The breaker is {is_now} meanwhile.", found=found, wanted=wanted)
    until = wanted["forced_until"]
    row = breaker.force(
        action.vendor,
        mode=wanted["forced"] or None,
        reason=wanted["forced_reason"] or reason,
        until=datetime.fromisoformat(until) if until else None,
        by=by,
        now=now,
    )
    return {**_forced(row), "version": row.version}


def _forced(row: CircuitBreaker) -> dict[str, Any]:
    """What a person set; failures and openings come and go by themselves and are no conflict."""
    return {
        "forced": row.forced,
        "forced_until": row.forced_until.isoformat() if row.forced_until else None,
        "forced_reason": row.forced_reason if row.forced else "",
    }


_AUTOMATIC = {"forced": "", "forced_until": None, "forced_reason": ""}
