"""The only place that shapes the parts of the incident page."""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.urls import reverse
from django.utils.dateparse import parse_datetime

from incidents import snoozing
from incidents.bulk_verbs import NEEDS
from incidents.models import Decision, Incident
from incidents.presentation import gate_words
from incidents.presentation.rows import Surroundings
from incidents.presentation.shapes import Badge, Decided, Gate, Safety, Verb
from incidents.states import ALLOWED, Choice, Status
from safety.models import CircuitBreaker
from safety.states import BreakerStatus, Forced

CHOICES = {
    Choice.RETRY: ("rotate-cw", "recovering", "Retry the failed runs"),
    Choice.ESCALATE: ("arrow-up", "escalated", "Escalate to people"),
    Choice.OBSERVE: ("eye", "acknowledged", "Watch, do nothing"),
}
KINDS = {
    "rule_based": "by rule",
    "ai_assisted": "by rule and evidence",
    "manual": "by a person",
    "automated": "automatically",
}
PAYLOAD_SHOWN = 20_000  # characters; the API has the whole


def verbs(incident: Incident, *, allowed: Iterable[str]) -> tuple[Verb, ...]:
    """The buttons that this person may press in this state, in reading order."""
    may, moves = set(allowed), ALLOWED[incident.status]
    if incident.merged_into_id is not None:
        return ()  # only a split brings it back
    is_open = Status.RESOLVED in moves
    left = incident.unrecovered_runs
    wanted = (
        ("acknowledge", "Acknowledge", "", is_open and incident.acknowledged_at is None, ""),
        ("assign", "Assign", "dialog", is_open, ""),
        ("snooze", "Snooze", "dialog", is_open and incident.snoozed_until is None, ""),
        ("wake", "Wake", "", is_open and incident.snoozed_until is not None, ""),
        (
            "resolve",
            "Resolve",
            "waiver" if left else "reason",
            is_open,
            f"{left:,} {'run is' if left == 1 else 'runs are'} not recovered." if left else "",
        ),
        ("ignore", "Ignore", "reason", Status.IGNORED in moves, "Later events keep being counted."),
        ("escalate", "Escalate", "reason", Status.ESCALATED in moves, "Tells the people on call."),
        ("reopen", "Reopen", "", Status.DETECTED in moves, ""),
    )
    return tuple(
        Verb(name, label, reverse(f"incidents:{name}", args=[incident.pk]), asks, hint)
        for name, label, asks, is_possible, hint in wanted
        if is_possible and NEEDS.get(name, name) in may
    )


def note_url(incident: Incident, *, allowed: Collection[str]) -> str:
    """Where a note goes, for those who may write one."""
    return reverse("incidents:comment", args=[incident.pk]) if "comment" in allowed else ""


def snooze_words(incident: Incident) -> str:
    """What ends its snooze; nothing when it is awake."""
    terms = snoozing.terms_of(incident)
    return f"asleep {terms.words}" if terms else ""


def decided(decision: Decision, *, gates_now: Iterable[Mapping[str, Any]] = ()) -> Decided:
    """`gates_now` say what holds the incident today, whatever they said when it was decided."""
    icon, kind, headline = CHOICES[Choice(decision.choice)]
    gates = {str(entry.get("name")): entry for entry in (*decision.gates, *gates_now)}
    return Decided(
        url=reverse("incidents:decision", args=[decision.pk]),
        icon=icon,
        kind=kind,
        headline=headline,
        how=KINDS.get(decision.kind, decision.kind),
        category=decision.category.replace("_", " "),
        confidence_percent=round(decision.confidence * 100),
        reasons=tuple(_text(reason) for reason in decision.reasons),
        gates=tuple(gate(entry) for entry in gates.values()),
        rules=tuple(rules(decision.rules)),
        at=decision.created_at,
        engine_version=decision.engine_version,
    )


def gate(entry: Mapping[str, Any]) -> Gate:
    clears_at = entry.get("clears_at")
    return Gate(
        name=gate_words.named(str(entry.get("name", ""))),
        passed=bool(entry.get("passed")),
        value=entry.get("value"),
        limit=entry.get("limit"),
        source=str(entry.get("source") or ""),
        clears_at=parse_datetime(clears_at) if isinstance(clears_at, str) else clears_at,
        detail=str(entry.get("detail") or ""),
    )


def rules(snapshot: Any, prefix: str = "") -> Iterable[tuple[str, Any, str]]:
    """(name, value, source) of every setting in a decision's snapshot."""
    if not isinstance(snapshot, dict):
        return
    for name, entry in snapshot.items():
        label = f"{prefix}{name}"
        if isinstance(entry, dict) and "value" in entry:
            yield label, entry["value"], str(entry.get("source") or "")
        elif isinstance(entry, dict):
            yield from rules(entry, f"{label}.")
        else:
            yield label, entry, ""


def safety(around: Surroundings, *, stop_url: str) -> Safety:
    outlook = around.outlook
    made, most = (outlook.attempts_made, outlook.attempts_max) if outlook else (0, 0)
    return Safety(
        breaker=breaker_badge(around.breaker),
        switch=Badge("human", "On") if around.held_by else Badge("good", "Off"),
        switch_reason=around.held_by,
        attempts=f"{made} of {most}" if most else "",
        attempts_percent=100 * made // most if most else 0,
        stop_url="" if around.held_by else stop_url,
    )


def breaker_badge(breaker: CircuitBreaker | None) -> Badge | None:
    if breaker is None:
        return None
    if breaker.forced == Forced.FORCED_OPEN:
        return Badge(
            "human", "Held open", "until" if breaker.forced_until else "", breaker.forced_until
        )
    if breaker.state == BreakerStatus.OPEN:
        return Badge("bad", "Open", "probe in", breaker.open_until)
    if breaker.state == BreakerStatus.HALF_OPEN:
        return Badge("wait", "Half-open")
    return Badge("good", "Closed")


def payload_text(payload: Any) -> str:
    return json.dumps(payload, indent=2, ensure_ascii=False, sort_keys=True)[:PAYLOAD_SHOWN]


def _text(reason: Any) -> str:
    return str(reason.get("text", reason)) if isinstance(reason, dict) else str(reason)
