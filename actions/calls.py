"""The only place that builds what an attempt sends: one builder for each type of action that calls out."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from actions import lifecycle, signing_secrets
from actions.executors.base import Call
from actions.models import Action
from actions.states import ASKS_WORKFLOW, ActionType
from events.models import Event
from incidents.models import Incident, Run
from tenants.models import Workflow
from tenants.secrets import SecretUnreadable

HTTP_DEADLINE_SECONDS = 10.0
Payloads = Mapping[UUID | None, Mapping[str, Any]]  # by event


def of(action: Action, *, now: datetime, payloads: Payloads | None = None) -> Call:
    """The call of the attempt that was just counted, read within the transaction that starts it."""
    told = payloads_of([action]) if payloads is None else payloads
    return _BUILDERS[action.action_type](action, now, told)


def payloads_of(actions: Iterable[Action]) -> Payloads:
    """What the last event of each one's run said: sent along to whoever is asked to run it again."""
    asking = [action for action in actions if action.action_type in ASKS_WORKFLOW]
    ids = {run.last_event_id for action in asking if (run := action.run) is not None} - {None}
    if not ids:
        return {}
    events = Event.objects.for_tenant(asking[0].tenant_id).filter(pk__in=ids)
    return dict(events.values_list("pk", "payload"))


def probe(action: Action, *, now: datetime) -> Call:
    """The question what became of a call: same key, asked where the workflow tells."""
    workflow = action.workflow
    assert workflow is not None
    about = {
        "action_id": str(action.pk),
        "run_id": action.run.run_id if action.run else "",
        "idempotency_key": action.idempotency_key,
    }
    joint = "&" if "?" in workflow.status_url else "?"
    return _call(
        action,
        url=f"{workflow.status_url}{joint}{urlencode(about)}",
        message_id=f"probe_{action.pk}",  # a receiver that remembers ids must not take it for the call
        **signed_by(workflow, now=now),
    )


def as_request(call: Call) -> dict[str, Any]:
    """What the attempt log keeps of it: never a secret, nor the signature made with one."""
    headers = dict(call.headers) if call.url else {}
    return {
        "url": call.url,
        "headers": headers,
        "body": dict(call.body),
        "to": list(call.recipients),
    }


def signed_by(workflow: Workflow, *, now: datetime) -> dict[str, Any]:
    """The particulars of a signed call: its secrets, or why there are none."""
    try:
        found = signing_secrets.of(workflow, now=now)
    except SecretUnreadable as unreadable:
        return {"refusal": str(unreadable)}
    return {"secrets": found} if found else {"refusal": signing_secrets.NONE_YET}


def _retry(action: Action, now: datetime, payloads: Payloads) -> Call:
    workflow, run, incident = action.workflow, action.run, action.incident
    assert workflow is not None
    assert run is not None
    assert incident is not None
    timeout = float(action.policy.get("timeout_seconds", HTTP_DEADLINE_SECONDS))
    return _call(
        action,
        url=workflow.retry_url,
        deadline_seconds=min(timeout, HTTP_DEADLINE_SECONDS),
        body=_of_run(action, workflow, run, incident, payloads),
        **signed_by(workflow, now=now),
    )


def _compensate(action: Action, now: datetime, payloads: Payloads) -> Call:
    workflow = action.workflow
    assert workflow is not None
    undone = str(action.parameters["compensates"])
    assert action.run is not None
    asked = _of_run(action, workflow, action.run, lifecycle.incident_of(action), payloads)
    return _call(
        action,
        url=workflow.compensate_url,
        body={
            **asked,
            "compensates": undone,
            "compensates_key": f"act_{undone}",
            "reason": action.parameters.get("reason", ""),
        },
        **signed_by(workflow, now=now),
    )


def _of_run(
    action: Action, workflow: Workflow, run: Run, incident: Incident, payloads: Payloads
) -> dict[str, Any]:
    return {
        "action_id": str(action.pk),
        "attempt": action.attempts_made,
        "incident": str(incident),
        "workflow": workflow.slug,
        "run_id": run.run_id,
        "event_id": str(run.last_event_id),
        "error_code": incident.error_code,
        "payload": payloads.get(run.last_event_id, {}),
    }


def _escalation(action: Action, now: datetime, payloads: Payloads) -> Call:
    """For the log of the attempt alone: whom it tells is read when it begins."""
    incident = lifecycle.incident_of(action)
    about = {"incident": str(incident), "reason": action.parameters.get("reason", "")}
    return _call(action, body=about)


def _message(action: Action, now: datetime, payloads: Payloads) -> Call:
    """For the log of the attempt: where it goes is read when it is told."""
    return _call(action, body=dict(action.parameters))


def _call(action: Action, **particulars: Any) -> Call:
    return Call(
        **{
            "tenant_id": action.tenant_id,
            "action_id": action.pk,
            "action_type": action.action_type,
            "attempt": action.attempts_made,
            "correlation_id": action.correlation_id,
            "idempotency_key": action.idempotency_key,
            "deadline_seconds": HTTP_DEADLINE_SECONDS,
            "decision_id": action.decision_id,
            "planned_at": action.created_at,
            **particulars,
        }
    )


_BUILDERS: dict[str, Callable[[Action, datetime, Payloads], Call]] = {
    ActionType.NOTIFY: _message,
    ActionType.TICKET: _message,
    ActionType.RETRY: _retry,
    ActionType.ROLLBACK: _compensate,
    ActionType.ESCALATE: _escalation,
}
