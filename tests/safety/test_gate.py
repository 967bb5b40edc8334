"""The one door: every check in its order, what its failure means, and when it clears."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from safety import gate
from safety.gate import Backoff, Blast, Budget, Facts, InFlight, Needed, Permit, Storm, Window

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FINE = Facts(
    action_type="retry",
    idempotent="key",
    retry_rule=Needed(True, "up to 3 retries", "on", "code payment_timeout"),
    retry_url=Needed(True, "set", "set", "the workflow checkout"),
    campaign="",
    is_approved=False,
    approval_changed={},
    storm=Storm(200, 200),
    blast=Blast("code payment_timeout", "", max_actions=100, max_runs=50, actions=99, runs=49),
    attempts=Window(0, 3),
    backoff=Backoff(1, NOON, is_over=True),
    run_attempts=Window(0, 5),
    vendor_attempts=Window(0, 1000),
    budget=Budget(0, 0, 20, 10),
    in_flight=tuple(InFlight(s, 0, 1, NOON) for s in ("tenant", "workflow", "vendor")),
    breaker=Permit(True, None, "closed"),
    rate=Permit(True, None, "a token is there"),
    release=Permit(True, None, "5 a second"),
)
SOON = NOON + timedelta(minutes=5)
LATER = NOON + timedelta(minutes=9)
ORDER = [
    "still_needed",
    "retry_rule",
    "retry_url",
    "kill_switch",
    "release",
    "auto_retry",
    "idempotent",
    "confidence",
    "approval",
    "storm",
    "blast_radius",
    "attempts_left",
    "backoff",
    "run_retry_limit",
    "vendor_retry_limit",
    "retry_budget",
    "in_flight_tenant",
    "in_flight_workflow",
    "in_flight_vendor",
    "circuit_breaker",
    "vendor_rate",
]


# what makes each gate fail, and what that does to the action
def full(which: str) -> dict[str, Any]:
    return {
        "in_flight": tuple(
            InFlight(scope, int(scope == which), 1, SOON)
            for scope in ("tenant", "workflow", "vendor")
        )
    }


FAILURES: dict[str, tuple[dict[str, Any], str]] = {
    "still_needed": ({"is_still_needed": False}, "skip"),
    "retry_rule": ({"retry_rule": Needed(False, "off", "on", "no_retry", "No retry.")}, "skip"),
    "retry_url": ({"retry_url": Needed(False, "none", "set", "checkout", "No URL.")}, "skip"),
    "kill_switch": ({"switches": ("tenant: stop",)}, "park"),
    "release": ({"release": Permit(False, SOON, "5 a second")}, "wait"),
    "auto_retry": ({"auto_retry_enabled": False}, "approve"),
    "idempotent": ({"idempotent": "no"}, "approve"),
    "confidence": ({"is_certain": False, "confidence": 0.69}, "approve"),
    "approval": ({"approval_changed": {"retry_url": ["https://a", "https://b"]}}, "approve"),
    "storm": ({"storm": Storm(201, 200)}, "approve"),
    "blast_radius": ({"blast": Blast("code a", "It went too far.")}, "approve"),
    "attempts_left": ({"attempts": Window(3, 3)}, "fail"),
    "backoff": ({"backoff": Backoff(2, SOON, is_over=False)}, "wait"),
    "run_retry_limit": ({"run_attempts": Window(5, 5, NOON)}, "wait"),
    "vendor_retry_limit": ({"vendor_attempts": Window(1000, 1000, NOON)}, "wait"),
    "retry_budget": ({"budget": Budget(12, 10, 20, 10, SOON)}, "wait"),
    "in_flight_tenant": (full("tenant"), "wait"),
    "in_flight_workflow": (full("workflow"), "wait"),
    "in_flight_vendor": (full("vendor"), "wait"),
    "circuit_breaker": ({"breaker": Permit(False, SOON, "open")}, "wait"),
    "vendor_rate": ({"rate": Permit(False, LATER, "no token")}, "wait"),
}


def test_everything_in_order_goes() -> None:
    verdict = gate.check(FINE)
    assert (verdict.effect, verdict.failed, verdict.reason) == ("go", [], "")
    assert verdict.earliest_possible_at is None
    assert [g.name for g in verdict.gates] == ORDER
    # a passed gate still says what it saw
    assert all(g.value and g.limit and g.source for g in verdict.gates)


@pytest.mark.parametrize("name", ORDER)
def test_a_gate_that_fails_decides_and_says_why(name: str) -> None:
    changes, effect = FAILURES[name]
    verdict = gate.check(replace(FINE, **changes))
    assert verdict.effect == effect
    assert [g.name for g in verdict.failed] == [name]
    assert verdict.reason
    assert len(verdict.gates) == len(ORDER)  # the others are shown too


PAIRS = [pair for pair in pairwise(ORDER) if not all("in_flight" in name for name in pair)]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_of_two_that_fail_the_first_decides(first: str, second: str) -> None:
    both = FAILURES[first][0] | FAILURES[second][0]
    verdict = gate.check(replace(FINE, **both))
    assert verdict.effect == FAILURES[first][1]
    assert [g.name for g in verdict.failed] == [first, second]


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({"idempotent": "yes"}, True),
        ({"idempotent": "key"}, True),
        ({"idempotent": "no"}, False),
        ({"idempotent": ""}, False),
        ({"is_certain": True, "confidence": 0.0}, True),
        ({"is_certain": False, "confidence": 0.7}, True),
        ({"is_certain": False, "confidence": 0.69}, False),
        ({"attempts": Window(2, 3)}, True),
        ({"attempts": Window(4, 3)}, False),
        ({"run_attempts": Window(4, 5, NOON)}, True),
        ({"run_attempts": Window(0, 0)}, False),
        ({"vendor_attempts": Window(999, 1000, NOON)}, True),
        # the floor alone, and with a share of what went out by itself: a part of a call is none
        ({"budget": Budget(9, 0, 20, 10)}, True),
        ({"budget": Budget(10, 0, 20, 10)}, False),
        ({"budget": Budget(10, 4, 20, 10)}, False),
        ({"budget": Budget(10, 5, 20, 10)}, True),
        # no limit, the last one that may, one too many of either; and paused whatever is counted
        ({"blast": Blast("code a", "", actions=9, runs=9)}, True),
        ({"blast": Blast("code a", "", max_actions=10, max_runs=10, actions=9, runs=9)}, True),
        ({"blast": Blast("code a", "", max_actions=10, actions=10, runs=1)}, False),
        ({"blast": Blast("code a", "", max_runs=5, actions=9, runs=5)}, False),
        ({"blast": Blast("code a", "It went too far.", max_actions=10)}, False),
        ({"in_flight": (InFlight("vendor", 9, 10, NOON),)}, True),
        ({"in_flight": (InFlight("vendor", 11, 10, NOON),)}, False),
    ],
)
def test_the_edges_of_the_checks(changes: dict[str, Any], passes: bool) -> None:
    assert (gate.check(replace(FINE, **changes)).effect == "go") is passes


@pytest.mark.parametrize("name", ["auto_retry", "idempotent", "confidence", "storm"])
def test_an_approval_lets_through_what_a_person_may_allow_and_shows_it(name: str) -> None:
    verdict = gate.check(replace(FINE, is_approved=True, **FAILURES[name][0]))
    assert verdict.effect == "go"
    (seen,) = [g for g in verdict.gates if g.name == name]
    assert seen.value.endswith("(approved)")


@pytest.mark.parametrize("name", [n for n in ORDER if FAILURES[n][1] != "approve"])
def test_an_approval_is_no_way_around_anything_else(name: str) -> None:
    verdict = gate.check(replace(FINE, is_approved=True, **FAILURES[name][0]))
    assert verdict.effect == FAILURES[name][1]


def test_what_a_person_asked_for_does_not_count_against_the_unattended_limit() -> None:
    full = replace(FINE, vendor_attempts=Window(1000, 1000, NOON), is_unattended=False)
    assert gate.check(full).effect == "go"


def test_only_retries_need_permissions_and_budgets() -> None:
    escalation = Facts(
        action_type="escalate", auto_retry_enabled=False, idempotent="no", attempts=Window(9, 1)
    )
    verdict = gate.check(escalation)
    assert (verdict.effect, [g.name for g in verdict.gates]) == (
        "go",
        ["still_needed", "kill_switch"],
    )


def test_what_was_not_asked_at_this_moment_is_no_gate() -> None:
    planned = Facts(action_type="retry", idempotent="key")
    assert [g.name for g in gate.check(planned).gates] == [
        "still_needed",
        "kill_switch",
        "auto_retry",
        "idempotent",
        "confidence",
    ]


def test_it_can_start_when_the_last_of_its_gates_clears() -> None:
    limited = {"run_attempts": Window(5, 5, NOON - timedelta(minutes=58))}
    waits = FAILURES["circuit_breaker"][0] | FAILURES["vendor_rate"][0] | limited
    verdict = gate.check(replace(FINE, **waits))
    assert [g.clears_at for g in verdict.failed] == [NOON + timedelta(minutes=2), SOON, LATER]
    assert verdict.earliest_possible_at == LATER


def test_what_waits_for_a_person_has_no_earliest_time() -> None:
    waits = FAILURES["circuit_breaker"][0] | FAILURES["kill_switch"][0]
    assert gate.check(replace(FINE, **waits)).earliest_possible_at is None


def test_a_canary_passes_the_switches_it_was_let_past_and_the_gate_says_so() -> None:
    through = replace(FINE, let_through="let through by ann: try one")
    shown = next(g for g in gate.check(through).gates if g.name == "kill_switch")
    assert (shown.passed, shown.value) == (True, "let through by ann: try one")
    # one that was set afterwards holds it again
    assert gate.check(replace(through, switches=("tenant switch: again",))).effect == "park"


def test_an_edit_after_the_approval_is_told_as_a_diff() -> None:
    edited = {"retry_url": ["https://a", "https://b"], "status_url": ["", "https://c"]}
    verdict = gate.check(replace(FINE, approval_changed=edited))
    assert verdict.reason == (
        "Retry_url was approved as https://a and is https://b now; "
        "status_url was approved as nothing and is https://c now."
    )


@pytest.mark.parametrize(
    ("state", "effect"),
    [
        ("running", "go"),
        ("planned", "park"),
        ("paused", "park"),
        ("completed", "skip"),
        ("aborted", "skip"),
    ],
)
def test_a_campaign_lets_its_calls_go_holds_them_or_ends_them(state: str, effect: str) -> None:
    verdict = gate.check(replace(FINE, campaign=state))
    assert verdict.effect == effect
    assert ("campaign" in [g.name for g in verdict.failed]) is (effect != "go")


@pytest.mark.parametrize("name", ["storm", "run_retry_limit", "vendor_retry_limit", "retry_budget"])
def test_a_campaigns_stages_are_its_budget(name: str) -> None:
    verdict = gate.check(replace(FINE, campaign="running", **FAILURES[name][0]))
    assert verdict.effect == "go"
    assert name not in [g.name for g in verdict.gates]


@pytest.mark.parametrize("name", ["in_flight_vendor", "circuit_breaker", "vendor_rate"])
def test_a_campaign_waits_for_the_vendor_like_everybody(name: str) -> None:
    assert gate.check(replace(FINE, campaign="running", **FAILURES[name][0])).effect == "wait"


def test_room_comes_as_often_as_the_tightest_of_its_limits_allows() -> None:
    waits = FAILURES["retry_budget"][0] | FAILURES["run_retry_limit"][0]
    assert gate.check(replace(FINE, **waits)).apart == timedelta(minutes=12)
    assert gate.check(FINE).apart == timedelta()


def test_every_switch_that_holds_is_named() -> None:
    verdict = gate.check(replace(FINE, switches=("global: all", "tenant: stop")))
    assert verdict.reason == "global: all; tenant: stop"


def test_as_json_carries_all_but_the_effect() -> None:
    failing = replace(FINE, **FAILURES["circuit_breaker"][0])
    (stored,) = [g for g in gate.check(failing).as_json() if not g["passed"]]
    assert stored == {
        "name": "circuit_breaker",
        "passed": False,
        "value": "open",
        "limit": "allowed",
        "source": "circuit breaker of the vendor",
        "clears_at": SOON.isoformat(),
        "detail": "Circuit breaker of the vendor: open.",
    }
