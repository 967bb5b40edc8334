"""What people ask for on an incident: one action, through the same gates as the machine's own."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from actions import by_hand, compensation, planning, ticket_rows, voting
from actions.models import Action, Channel
from actions.states import UNSETTLED, ActionType, Status
from awfdrs_site.lib.ids import uuid7
from incidents import decisions
from incidents import lifecycle as incident_lifecycle
from incidents.models import Incident, Run
from incidents.states import UNRECOVERED
from safety.models import KillSwitch
from safety.ruletypes import RetryPolicy
from tenants.journal import Actor

Ask = Callable[[Incident, Mapping[str, Any], Actor, datetime], Action]
# The delivery decides how long it is worth trying; the action only looks how it stands.
DELIVERING = RetryPolicy(
    enabled=True,
    max_retries=200,
    initial_delay_ms=5_000,
    max_delay_ms=900_000,
    jitter="equal",
)
AGAIN = (Status.FAILED, Status.UNKNOWN, *UNSETTLED)


class CannotAsk(Exception):
    """What was asked for makes no sense here; `name` is the parameter that is wrong."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        super().__init__(message)


def ask(
    incident: Incident,
    *,
    action_type: str,
    parameters: Mapping[str, Any],
    by: Actor,
    now: datetime,
) -> Action:
    """Plan it, or find it planned. Raises CannotAsk and what the verb of that type refuses with."""
    return _ASKED[ActionType(action_type)](incident, parameters, by, now)


def verb_of(action_type: str) -> str:
    """Who may: what changes a vendor's or everybody's safety is not for whoever acts on an incident."""
    if action_type in _BREAKERS:
        return "configure"
    return "stop" if action_type in _SWITCHES else "act"


def _notify(incident: Incident, parameters: Mapping[str, Any], by: Actor, now: datetime) -> Action:
    channel = _channel(incident, parameters)
    if channel.kind in ticket_rows.TRACKERS:
        raise CannotAsk("channel", f"{channel} takes tickets, not messages.")
    return _deliver(ActionType.NOTIFY, incident, channel, parameters, by, now)


def _ticket(incident: Incident, parameters: Mapping[str, Any], by: Actor, now: datetime) -> Action:
    channel = _channel(incident, parameters)
    if channel.kind not in ticket_rows.TRACKERS:
        raise CannotAsk("channel", f"{channel} takes messages, not tickets.")
    mine = Action.objects.for_tenant(incident.tenant_id).filter(
        incident=incident, action_type=ActionType.TICKET, status__in=UNSETTLED
    )
    under_way: Action | None = mine.filter(parameters__channel=str(channel.pk)).first()
    return under_way or _deliver(ActionType.TICKET, incident, channel, parameters, by, now)


def _deliver(
    kind: ActionType,
    incident: Incident,
    channel: Channel,
    parameters: Mapping[str, Any],
    by: Actor,
    now: datetime,
) -> Action:
    return planning.create_once(
        Action(
            tenant_id=incident.tenant_id,
            action_type=kind,
            dedupe_key=f"asked:{uuid7(now)}",
            incident=incident,
            workflow_id=incident.workflow_id,
            parameters={"channel": str(channel.pk), "text": _text(parameters, "text")},
            policy=asdict(DELIVERING),
            attempts_max=DELIVERING.max_retries,
            requested_by_id=by.id,
            run_at=now,
        ),
        by=by,
        now=now,
    )


def _escalate(
    incident: Incident, parameters: Mapping[str, Any], by: Actor, now: datetime
) -> Action:
    reason = _text(parameters, "reason") or "Asked for by a person."
    incident = incident_lifecycle.escalate(incident, by=by, now=now, reason=reason)
    return planning.escalation(incident, reason, now=now)


def _retry(incident: Incident, parameters: Mapping[str, Any], by: Actor, now: datetime) -> Action:
    """The run's own retry comes forward; one that has none gets one attempt, as far as the gates allow."""
    run = _run(incident, parameters)
    mine = Action.objects.for_tenant(incident.tenant_id).filter(
        run=run, action_type=ActionType.RETRY, status__in=AGAIN, campaign__isnull=True
    )
    planned: Action | None = mine.order_by("-id").first()
    if planned is not None:
        return voting.run_action(planned, by=by, now=now)
    if not incident.workflow.retry_url:
        raise CannotAsk("run", "The workflow has no retry_url.")
    Run.objects.for_tenant(incident.tenant_id).filter(pk=run.pk).update(planned_at=now)
    in_force = decisions.rules_for(incident)
    return planning.create_once(
        Action(
            tenant_id=incident.tenant_id,
            action_type=ActionType.RETRY,
            dedupe_key=f"asked:{run.pk}:{run.episode}",
            incident=incident,
            run=run,
            workflow_id=run.workflow_id,
            vendor_id=incident.vendor_id,
            policy=in_force.retry_as_json(),
            requested_by_id=by.id,
            run_at=now,
        ),
        by=by,
        now=now,
    )


def _rollback(
    incident: Incident, parameters: Mapping[str, Any], by: Actor, now: datetime
) -> Action:
    mine = Action.objects.for_tenant(incident.tenant_id).filter(incident=incident)
    undone: Action | None = mine.filter(pk=_id(parameters, "action")).first()
    if undone is None:
        raise CannotAsk("action", "The incident has no such action.")
    return compensation.ask(undone, reason=_text(parameters, "reason"), by=by, now=now)


def _control(kind: ActionType) -> Ask:
    def ask_control(
        incident: Incident, parameters: Mapping[str, Any], by: Actor, now: datetime
    ) -> Action:
        reason = _text(parameters, "reason")
        if not reason.strip():
            raise CannotAsk("reason", "Say why.")
        if kind in _BREAKERS and incident.vendor_id is None:
            raise CannotAsk("", "The incident is of no vendor.")
        return by_hand.request(
            tenant_id=incident.tenant_id,
            action_type=kind,
            parameters={"reason": reason, **_switch(kind, incident, parameters)},
            by=by,
            now=now,
            dedupe_key=f"asked:{uuid7(now)}",
            incident=incident,
            vendor_id=incident.vendor_id if kind in _BREAKERS else None,
        )

    return ask_control


def _switch(kind: ActionType, incident: Incident, parameters: Mapping[str, Any]) -> dict[str, str]:
    """Of an incident one stops its own workflow or vendor, or its tenant; other switches have their own page."""
    if kind == ActionType.KILL_SWITCH_DEACTIVATE:
        mine = KillSwitch.objects.for_tenant(incident.tenant_id)
        switch = mine.filter(pk=_id(parameters, "switch")).first()
        if switch is None:
            raise CannotAsk("switch", "There is no such kill switch.")
        return {"switch": str(switch.pk)}
    if kind != ActionType.KILL_SWITCH_ACTIVATE:
        return {}
    targets = {
        "workflow": str(incident.workflow_id),
        "vendor": str(incident.vendor_id or ""),
        "tenant": "",
    }
    scope = _text(parameters, "scope") or "workflow"
    if scope not in targets or (scope == "vendor" and incident.vendor_id is None):
        raise CannotAsk(
            "scope", "This must be workflow, vendor (of an incident with one) or tenant."
        )
    return {"scope": scope, "target": targets[scope]}


def _channel(incident: Incident, parameters: Mapping[str, Any]) -> Channel:
    mine = Channel.objects.for_tenant(incident.tenant_id)
    found: Channel | None = mine.filter(pk=_id(parameters, "channel")).first()
    if found is None:
        raise CannotAsk("channel", "There is no such channel.")
    if not found.is_active:
        raise CannotAsk("channel", "The channel is switched off.")
    return found


def _run(incident: Incident, parameters: Mapping[str, Any]) -> Run:
    mine = Run.objects.for_tenant(incident.tenant_id).filter(incident=incident)
    hurt = mine.filter(state__in=UNRECOVERED).order_by("id")
    if "run" in parameters:
        found: Run | None = hurt.filter(pk=_id(parameters, "run")).first()
        if found is None:
            raise CannotAsk("run", "The incident has no such run that needs recovery.")
        return found
    few = list(hurt[:2])
    if len(few) != 1:
        raise CannotAsk("run", "Name the run: the incident has more than one, or none, to recover.")
    return few[0]


def _id(parameters: Mapping[str, Any], name: str) -> UUID:
    try:
        return UUID(_text(parameters, name))
    except ValueError:
        raise CannotAsk(name, "This must be an id.") from None


def _text(parameters: Mapping[str, Any], name: str) -> str:
    value = parameters.get(name, "")
    if not isinstance(value, str) or len(value) > 4000:
        raise CannotAsk(name, "This must be a text of at most 4000 characters.")
    return value


_BREAKERS = (ActionType.CIRCUIT_BREAKER_OPEN, ActionType.CIRCUIT_BREAKER_CLOSE)
_SWITCHES = (ActionType.KILL_SWITCH_ACTIVATE, ActionType.KILL_SWITCH_DEACTIVATE)
_ASKED: dict[ActionType, Ask] = {
    ActionType.RETRY: _retry,
    ActionType.ESCALATE: _escalate,
    ActionType.NOTIFY: _notify,
    ActionType.TICKET: _ticket,
    ActionType.ROLLBACK: _rollback,
    **{kind: _control(kind) for kind in (*_BREAKERS, *_SWITCHES)},
}
