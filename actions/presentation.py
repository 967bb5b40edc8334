"""The only place that words actions and their attempts for people."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.urls import reverse

from actions import compensation, lifecycle
from actions.models import Action, Attempt
from actions.states import AttemptStatus, Status, Verification
from incidents.presentation.details import gate
from incidents.presentation.shapes import Gate, Pill, Verb
from tenants.states import Idempotent

EXCERPT_SHOWN = 300
PILLS = {
    Status.PENDING: Pill("acknowledged", "clock", "Pending"),
    Status.IN_PROGRESS: Pill("recovering", "rotate-cw", "In progress"),
    Status.PARKED: Pill("human", "hourglass", "Held"),
    Status.AWAITING_APPROVAL: Pill("human", "shield-alert", "Awaiting approval"),
    Status.COMPLETED: Pill("recovering", "check", "Accepted"),
    Status.FAILED: Pill("open", "x", "Failed"),
    Status.UNKNOWN: Pill("open", "circle-alert", "Outcome unknown"),
    Status.SKIPPED: Pill("snoozed", "minus", "Skipped"),
    Status.REVERSED: Pill("snoozed", "undo-2", "Reversed"),
}
VERIFIED = {
    Verification.PENDING: Pill("acknowledged", "hourglass", "Accepted, not verified yet"),
    Verification.VERIFIED: Pill("recovering", "shield-check", "Verified"),
    Verification.NOT_VERIFIED: Pill("open", "circle-alert", "Not verified"),
}
OUTCOMES = {
    AttemptStatus.STARTED: ("quiet", "calling"),
    AttemptStatus.SUCCEEDED: ("good", "accepted"),
    AttemptStatus.FAILED: ("bad", "failed"),
    AttemptStatus.UNKNOWN: ("wait", "unknown"),
}


@dataclass(frozen=True)
class AttemptLine:
    number: int
    kind: str
    word: str
    response_status: int | None
    says: str
    started_at: datetime
    latency_ms: int | None
    request: str


@dataclass(frozen=True)
class ActionLine:
    id: UUID
    url: str
    title: str
    run_id: str
    workflow: str
    incident: str
    incident_title: str
    incident_url: str
    pill: Pill
    next: str
    at: datetime | None
    moved_at: datetime  # settled, started or made: the latest of them
    gates: tuple[Gate, ...]
    attempts: tuple[AttemptLine, ...]
    idempotency_key: str
    is_open: bool
    verbs: tuple[Verb, ...]
    warning: str


def lines(actions: Iterable[Action], *, may_act: bool) -> tuple[ActionLine, ...]:
    """The first of them is shown unfolded."""
    return tuple(
        line(action, is_open=not place, may_act=may_act) for place, action in enumerate(actions)
    )


def line(action: Action, *, is_open: bool, may_act: bool) -> ActionLine:
    is_pending = action.status == Status.PENDING
    made, most = action.attempts_made, action.attempts_max
    incident = action.incident
    return ActionLine(
        id=action.pk,
        url=reverse("actions:detail", args=[action.pk]),
        title=action.action_type.replace("_", " ").capitalize(),
        run_id=action.run.run_id if action.run else "",
        workflow=action.workflow.slug if action.workflow else "",
        incident=str(incident) if incident else "",
        incident_title=incident.title if incident else "",
        incident_url=incident.get_absolute_url() if incident else "",
        pill=_pill(action),
        next=f"attempt {made + 1} of {most} in" if is_pending else action.waiting_reason,
        at=action.run_at if is_pending else None,
        moved_at=action.settled_at or action.started_at or action.created_at,
        gates=tuple(gate(entry) for entry in action.gates) if _is_waiting(action) else (),
        attempts=tuple(attempt_line(attempt) for attempt in action.attempts.all()),
        idempotency_key=action.idempotency_key,
        is_open=is_open,
        verbs=verbs(action) if may_act else (),
        warning=warning(action) if may_act else "",
    )


def verbs(action: Action) -> tuple[Verb, ...]:
    """What a person may do about it here."""
    names: tuple[tuple[str, str], ...] = ()
    if action.status == Status.AWAITING_APPROVAL:
        names = (("approve", "Approve and run"), ("reject", "Reject"))
    elif lifecycle.is_reversible(action):
        names = (("reverse", "Reverse"),)
    else:
        names = (*_sending_again(action), *_undoing(action))
    return tuple(
        Verb(name, label, reverse(f"actions:{name}", args=[action.pk])) for name, label in names
    )


def _sending_again(action: Action) -> tuple[tuple[str, str], ...]:
    is_over = action.status in (Status.FAILED, Status.UNKNOWN)
    return (("run", "Send again"),) if is_over else ()


def _undoing(action: Action) -> tuple[tuple[str, str], ...]:
    return () if compensation.why_not(action) else (("compensate", "Compensate"),)


def warning(action: Action) -> str:
    """What to know before sending again, where a second call may be a second payment."""
    workflow = action.workflow
    is_harmless = workflow is None or workflow.idempotent != Idempotent.NO
    if is_harmless or not action.attempts_made or not _sending_again(action):
        return ""
    return (
        f"{workflow} does not declare that a second call is harmless. "
        f"Look there first whether attempt {action.attempts_made} arrived."
    )


def attempt_line(attempt: Attempt) -> AttemptLine:
    kind, word = OUTCOMES[AttemptStatus(attempt.status)]
    return AttemptLine(
        number=attempt.number,
        kind=kind,
        word=word,
        response_status=attempt.response_status,
        says=(attempt.error or attempt.response_excerpt)[:EXCERPT_SHOWN],
        started_at=attempt.started_at,
        latency_ms=attempt.latency_ms,
        request=_request(attempt.request),
    )


def _request(sent: Mapping[str, Any]) -> str:
    """As it went out, but for the signature; empty for what is no call."""
    if not sent.get("url"):
        return ""
    headers = [f"{name}: {value}" for name, value in sent.get("headers", {}).items()]
    body = json.dumps(sent.get("body", {}), indent=2, ensure_ascii=False)
    return "\n".join([f"POST {sent['url']}", *headers, "", body])


def _pill(action: Action) -> Pill:
    if action.status == Status.COMPLETED and action.verification:
        return VERIFIED[Verification(action.verification)]
    return PILLS[Status(action.status)]


def _is_waiting(action: Action) -> bool:
    return action.status in (Status.PENDING, Status.PARKED, Status.AWAITING_APPROVAL)
