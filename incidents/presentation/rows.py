"""The only place that words an incident's state and what happens next."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from awfdrs_site.lib import query
from incidents import snoozing
from incidents.models import Incident
from incidents.presentation.addresses import listed
from incidents.presentation.figures import Chart
from incidents.presentation.list_shapes import Narrow
from incidents.presentation.shapes import Ledger, NextStep, Outlook, Pill, Row
from incidents.states import OPEN, Choice, Status
from safety.models import CircuitBreaker
from safety.states import BreakerStatus, Forced

RESOLVED = Pill("resolved", "circle-check", "Resolved")
IGNORED = Pill("ignored", "eye-off", "Ignored")
SNOOZED = Pill("snoozed", "moon", "Snoozed")
APPROVAL = Pill("human", "shield-alert", "Needs approval")
HELD = Pill("human", "power", "Held")
ACKNOWLEDGED = Pill("acknowledged", "eye", "Acknowledged")
ESCALATED = Pill("escalated", "arrow-up", "Escalated")
RECOVERING = Pill("recovering", "rotate-cw", "Recovering")
OPENED = Pill("open", "flame", "Open")


@dataclass(frozen=True)
class Becoming:
    """What a verb makes of an incident whose pill is of one of these kinds, where that is sure before it is done."""

    verb: str
    pill: Pill
    kinds: tuple[str, ...]


# `pill` says the same once it is done, for then a later candidate gives way to an earlier one.
_UNCLAIMED = (OPENED.kind, ESCALATED.kind)
_UNDONE = (*_UNCLAIMED, RECOVERING.kind, ACKNOWLEDGED.kind, APPROVAL.kind)
BECOMING = (
    Becoming("acknowledge", ACKNOWLEDGED, _UNCLAIMED),
    Becoming("snooze", SNOOZED, _UNDONE),
    Becoming("resolve", RESOLVED, (*_UNDONE, SNOOZED.kind)),
    Becoming("ignore", IGNORED, (*_UNDONE, SNOOZED.kind)),
)


@dataclass(frozen=True)
class Surroundings:
    """What an incident's state depends on besides its own row."""

    now: datetime
    outlook: Outlook | None = None
    breaker: CircuitBreaker | None = None
    held_by: str = ""  # the reason of the kill switch that holds it
    choice: str = ""  # of its latest decision


def row(
    incident: Incident,
    around: Surroundings,
    *,
    chart: Chart | None = None,
) -> Row:
    return Row(
        id=incident.pk,
        url=incident.get_absolute_url(),
        number=f"INC-{incident.number}",
        title=incident.title,
        severity=incident.severity,
        workflow=incident.workflow.slug,
        vendor=incident.vendor.name if incident.vendor else "",
        pill=pill(incident, around),
        next=next_step(incident, around),
        ledger=Ledger(affected=incident.affected_runs, left=incident.unrecovered_runs),
        event_count=incident.event_count,
        last_seen_at=incident.last_seen_at,
        assignee=_name_of(incident),
        version=incident.version,
        chart=chart,
        narrows=_narrows(incident),
    )


def _narrows(incident: Incident) -> tuple[Narrow, ...]:
    """What a click on the row's properties asks for."""
    workflow = _narrow("workflow", incident.workflow.slug)
    return (workflow, _narrow("vendor", incident.vendor.name)) if incident.vendor else (workflow,)


@lru_cache(maxsize=2000)
def _narrow(key: str, value: str) -> Narrow:
    token = query.token(key, value)
    return Narrow(value, token, listed(tab="open", q=token))


def pill(incident: Incident, around: Surroundings) -> Pill:
    """The word for the state; a person's claim on it comes before the machine's."""
    candidates = (
        (incident.status == Status.RESOLVED, RESOLVED),
        (incident.status == Status.IGNORED, IGNORED),
        (bool(incident.snoozed_until and incident.snoozed_until > around.now), SNOOZED),
        (_awaits_approval(around), APPROVAL),
        (bool(around.held_by), HELD),
        (incident.status == Status.ANALYZING, RECOVERING),
        (incident.acknowledged_at is not None, ACKNOWLEDGED),
        (incident.status == Status.ESCALATED, ESCALATED),
    )
    return next((pill for holds, pill in candidates if holds), OPENED)


def next_step(incident: Incident, around: Surroundings) -> NextStep:
    if incident.status not in OPEN:
        return _closed(incident)
    step = _held(around) or _asleep(incident, around) or _planned(around) or _breaker(around)
    return step or _waiting(incident, around)


def _asleep(incident: Incident, around: Surroundings) -> NextStep | None:
    """When people are asked again; the machine goes on meanwhile, as the page of the incident says."""
    until = incident.snoozed_until
    if until is None or until <= around.now:
        return None
    terms = snoozing.terms_of(incident)
    if terms is None or terms.kind == "until":
        return NextStep("snoozed", "moon", "Asleep", "awake in", until)
    return NextStep("snoozed", "moon", f"Asleep {terms.words}")


def _closed(incident: Incident) -> NextStep:
    if incident.status == Status.IGNORED:
        return NextStep("ignored", "eye-off", incident.resolved_reason or "Ignored")
    return NextStep(
        "resolved", "circle-check", incident.resolved_reason or "Resolved", detail=_tally(incident)
    )


def _tally(incident: Incident) -> str:
    if not incident.affected_runs:
        return ""
    return f"{incident.unrecovered_runs or 'none'} of {incident.affected_runs:,} runs left"


def _held(around: Surroundings) -> NextStep | None:
    outlook = around.outlook
    if _awaits_approval(around) and outlook is not None:
        runs = f"{outlook.n_waiting:,} {'retry' if outlook.n_waiting == 1 else 'retries'}"
        return NextStep(
            "human",
            "shield-alert",
            "Waiting for approval",
            detail=f"{runs}. {outlook.reason}".strip(),
        )
    if around.held_by:
        return NextStep("human", "power", "Kill switch on, actions held", detail=around.held_by)
    return None


def _planned(around: Surroundings) -> NextStep | None:
    outlook = around.outlook
    if outlook is None:
        return None
    attempt = f"Retry {outlook.attempt} of {outlook.attempts_max}"
    steps = {
        "retrying": NextStep(
            "recovering", "rotate-cw", attempt, "next in", outlook.at, detail=outlook.reason
        ),
        "calling": NextStep("recovering", "rotate-cw", f"{attempt} · calling now"),
        "parked": NextStep(
            "acknowledged", "hourglass", outlook.reason or "Held", "again in", outlook.at
        ),
        "unknown": NextStep(
            "open", "circle-alert", "Outcome unknown", detail="Nobody saw how the last call ended."
        ),
        "verifying": NextStep(
            "recovering", "shield-check", "Retried · awaiting evidence", "until", outlook.at
        ),
        "storm": NextStep("human", "hourglass", "Runs wait for a person", detail=outlook.reason),
    }
    found = steps.get(outlook.kind)
    if outlook.kind in {"retrying", "parked"}:
        return _breaker(around) or found  # the breaker is why nothing goes out
    return found


def _breaker(around: Surroundings) -> NextStep | None:
    breaker = around.breaker
    if breaker is None:
        return None
    if breaker.forced == Forced.FORCED_OPEN:
        return NextStep("human", "zap", "Breaker held open", detail=breaker.forced_reason)
    if breaker.state == BreakerStatus.OPEN:
        return NextStep("open", "zap", "Breaker open", "probe in", breaker.open_until)
    if breaker.state == BreakerStatus.HALF_OPEN:
        return NextStep("recovering", "zap", "Breaker half-open · probing")
    return None


def _waiting(incident: Incident, around: Surroundings) -> NextStep:
    if incident.status == Status.ESCALATED:
        reason = incident.escalated_reason
        return NextStep("escalated", "user", reason or "A person is needed")
    if incident.decided_at is None:
        return NextStep("acknowledged", "hourglass", "Deciding what to do")
    if around.choice == Choice.OBSERVE:
        return NextStep(
            "open", "eye", "Watched: no retry by rule", detail="Nothing runs until a person acts."
        )
    return NextStep("recovering", "hourglass", "Waiting for success evidence")


def _awaits_approval(around: Surroundings) -> bool:
    return around.outlook is not None and around.outlook.kind == "approval"


def _name_of(incident: Incident) -> str:
    person = incident.assignee
    return (person.get_full_name() or person.get_username()) if person else ""
