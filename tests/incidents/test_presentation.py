"""What the state of an incident is called, and what is said to happen next."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from incidents.models import Incident
from incidents.presentation import details, rows, timeline
from incidents.presentation.rows import Surroundings
from incidents.presentation.shapes import Outlook
from safety.models import CircuitBreaker
from tenants.models import JournalEntry

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
SOON = NOW + timedelta(seconds=42)
RETRY = Outlook("retrying", attempt=2, attempts_max=5, at=SOON)


def _incident(**fields: Any) -> Incident:
    return Incident(**{"status": "analyzing", "decided_at": NOW, "affected_runs": 5} | fields)


STATES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"status": "detected"}, {}, "Open"),
    ({"status": "analyzing"}, {}, "Recovering"),
    ({"status": "escalated"}, {}, "Escalated"),
    ({"status": "escalated", "acknowledged_at": NOW}, {}, "Acknowledged"),
    ({"status": "analyzing"}, {"outlook": Outlook("approval", n_waiting=3)}, "Needs approval"),
    ({"status": "analyzing"}, {"held_by": "stop"}, "Held"),
    ({"status": "detected", "snoozed_until": SOON}, {}, "Snoozed"),
    ({"status": "detected", "snoozed_until": NOW}, {}, "Open"),
    ({"status": "resolved"}, {"held_by": "stop"}, "Resolved"),
    ({"status": "ignored"}, {}, "Ignored"),
]


@pytest.mark.parametrize(("fields", "around", "word"), STATES)
def test_the_pill_names_the_state(
    fields: dict[str, Any], around: dict[str, Any], word: str
) -> None:
    assert rows.pill(_incident(**fields), Surroundings(NOW, **around)).word == word


DONE: dict[str, dict[str, Any]] = {
    "acknowledge": {"acknowledged_at": NOW},
    "snooze": {"snoozed_until": SOON},
    "resolve": {"status": "resolved"},
    "ignore": {"status": "ignored"},
}


@pytest.mark.parametrize("one", rows.BECOMING, ids=lambda one: one.verb)
def test_what_is_shown_before_the_answer_is_what_the_answer_says(one: rows.Becoming) -> None:
    n_shown = 0
    for fields, around, _ in STATES:
        surroundings = Surroundings(NOW, **around)
        if rows.pill(_incident(**fields), surroundings).kind in one.kinds:
            assert rows.pill(_incident(**fields | DONE[one.verb]), surroundings) == one.pill
            n_shown += 1
    assert n_shown >= len(one.kinds)


def _breaker(state: str, **fields: Any) -> CircuitBreaker:
    return CircuitBreaker(state=state, **fields)


@pytest.mark.parametrize(
    ("fields", "around", "text", "until", "at"),
    [
        ({}, {"outlook": RETRY}, "Retry 2 of 5", "next in", SOON),
        ({}, {"outlook": Outlook("calling", 1, 5)}, "Retry 1 of 5 · calling now", "", None),
        ({}, {"outlook": Outlook("approval", n_waiting=1)}, "Waiting for approval", "", None),
        ({}, {"outlook": RETRY, "held_by": "stop"}, "Kill switch on, actions held", "", None),
        # the breaker is why the retry does not go out
        (
            {},
            {"outlook": RETRY, "breaker": _breaker("open", open_until=SOON)},
            "Breaker open",
            "probe in",
            SOON,
        ),
        ({}, {"outlook": RETRY, "breaker": _breaker("closed")}, "Retry 2 of 5", "next in", SOON),
        ({}, {"breaker": _breaker("half_open")}, "Breaker half-open · probing", "", None),
        ({}, {"outlook": Outlook("unknown")}, "Outcome unknown", "", None),
        ({"status": "detected"}, {"choice": "observe"}, "Watched: no retry by rule", "", None),
        ({"status": "detected", "decided_at": None}, {}, "Deciding what to do", "", None),
        ({"status": "escalated", "escalated_reason": "no URL"}, {}, "no URL", "", None),
        ({"status": "escalated"}, {}, "A person is needed", "", None),
        ({}, {}, "Waiting for success evidence", "", None),
        (
            {"status": "resolved", "resolved_reason": "all back"},
            {"outlook": RETRY},
            "all back",
            "",
            None,
        ),
    ],
)
def test_the_next_step_says_what_and_when(
    fields: dict[str, Any], around: dict[str, Any], text: str, until: str, at: datetime | None
) -> None:
    step = rows.next_step(_incident(**fields), Surroundings(NOW, **around))
    assert (step.text, step.until, step.at) == (text, until, at)


EVERY = ("acknowledge", "resolve", "ignore", "escalate", "reopen")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("detected", ["acknowledge", "resolve", "ignore", "escalate"]),
        ("escalated", ["acknowledge", "resolve", "ignore"]),
        ("resolved", ["reopen"]),
        ("ignored", ["reopen"]),
    ],
)
def test_only_possible_verbs_are_offered(status: str, expected: list[str]) -> None:
    offered = details.verbs(_incident(status=status), allowed=EVERY)
    assert [verb.name for verb in offered] == expected


def test_no_verb_is_offered_to_who_may_not() -> None:
    assert details.verbs(_incident(), allowed=("view",)) == ()


def test_a_merged_incident_offers_no_verb() -> None:
    merged = _incident(status="resolved", merged_into_id=uuid4())
    assert details.verbs(merged, allowed=EVERY) == ()


def test_resolving_asks_for_a_waiver_while_runs_are_left() -> None:
    asked = {v.name: v.asks for v in details.verbs(_incident(unrecovered_runs=2), allowed=EVERY)}
    assert asked["resolve"] == "waiver"


def test_a_verb_of_a_later_step_is_shown_as_it_is_written() -> None:
    entry = JournalEntry(
        verb="handed_over",
        at=NOW,
        actor_kind="user",
        actor_label="Alice",
        detail={"note": "same cause"},
    )
    shown = timeline.moment(entry)
    assert (shown.text, shown.actor, shown.detail) == ("Handed over", "Alice", "same cause")


def test_the_rules_of_a_decision_are_told_with_their_sources() -> None:
    snapshot = {
        "retry": {"max_retries": {"value": 5, "source": "vendors.stripe"}},
        "severity": "high",
    }
    assert list(details.rules(snapshot)) == [
        ("retry.max_retries", 5, "vendors.stripe"),
        ("severity", "high", ""),
    ]
