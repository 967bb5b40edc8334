"""DESIGN.md rule 16 and M10: what counts as a failure, a success, neither."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incidents.analysis.facts import facts_from
from incidents.analysis.outcome import SHIPPED, Matcher, Outcome, faults, opens_run, outcome

FAILURE, SUCCESS, NEUTRAL = Outcome.FAILURE, Outcome.SUCCESS, Outcome.NEUTRAL
BROKEN = {"error_code": "timeout", "error_message": "timed out", "status": "failed"}

# M10: the fourteen event types of the original are known.
THE_FOURTEEN = {
    "workflow.started": NEUTRAL,
    "workflow.completed": SUCCESS,
    "workflow.failed": FAILURE,
    "step.started": NEUTRAL,
    "step.completed": SUCCESS,
    "step.failed": FAILURE,
    "api_call.started": NEUTRAL,
    "api_call.completed": SUCCESS,
    "api_call.failed": FAILURE,
    "payment.initiated": NEUTRAL,
    "payment.completed": SUCCESS,
    "payment.failed": FAILURE,
    "user.action": NEUTRAL,
    "system.event": NEUTRAL,
}


@pytest.mark.parametrize(("event_type", "expected"), THE_FOURTEEN.items())
def test_the_event_types_of_the_original_are_known(event_type: str, expected: Outcome) -> None:
    assert outcome(event_type=event_type, payload={}) is expected


@pytest.mark.parametrize(
    "event_type", ["job.failed", "job.error", "call.timeout", "payment.rejected", "task.exception"]
)
def test_a_failing_name_is_a_failure_whatever_the_payload_says(event_type: str) -> None:
    assert outcome(event_type=event_type, payload={"status": "ok"}) is FAILURE


@pytest.mark.parametrize(
    "event_type",
    [
        "error.resolved",
        "payment.failed_recovered",
        "job.timeout_recovered",
        "run_recovered",
        "run.recovered",
        "job.succeeded",
        "job.completed",
        "Job.Completed",
    ],
)
def test_a_name_that_says_it_is_over_is_a_success_whatever_else_it_carries(event_type: str) -> None:
    assert outcome(event_type=event_type, payload=BROKEN) is SUCCESS


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"status": "failed"}, FAILURE),
        ({"status": "FAILED"}, FAILURE),
        ({"status": " Error "}, FAILURE),
        ({"status": "Rejected"}, FAILURE),
        ({"status": "ok"}, NEUTRAL),
        ({"status": ["failed"]}, NEUTRAL),
        ({"status": None}, NEUTRAL),
        ({"error_code": "card_declined"}, FAILURE),
        ({"error_code": 503}, FAILURE),
        ({"error_code": 0}, NEUTRAL),
        ({"error_code": ""}, NEUTRAL),
        ({"error_code": None}, NEUTRAL),
        ({"error_message": "boom"}, FAILURE),
        ({"error_message": "   "}, NEUTRAL),
        ({"error_message": False}, NEUTRAL),
        ({"error_message": {"text": "boom"}}, FAILURE),
        ({"error_message": {}}, NEUTRAL),
        ({"error_code": []}, NEUTRAL),
        ({}, NEUTRAL),
    ],
)
def test_a_name_that_says_nothing_leaves_it_to_the_payload(
    payload: dict[str, object], expected: Outcome
) -> None:
    assert outcome(event_type="user.action", payload=payload) is expected


# The pattern is a last part of its own: a word inside another is not it.
@pytest.mark.parametrize("event_type", ["payment.failedish", "errors", "timeout.policy", "failed"])
def test_a_word_inside_another_name_decides_nothing(event_type: str) -> None:
    assert outcome(event_type=event_type, payload={}) is NEUTRAL


@pytest.mark.parametrize("payload", [None, [], "failed", 7])
def test_a_payload_that_is_no_object_says_nothing(payload: object) -> None:
    assert outcome(event_type="user.action", payload=payload) is NEUTRAL
    assert outcome(event_type="job.failed", payload=payload) is FAILURE


PAYLOAD: dict[str, Any] = {
    "status": "Gave_Up",
    "error_code": "Card_Declined",
    "state": "gave_up",
    "error": {"kind": "Fatal", "tries": 3, "is_last": True, "cause": {}},
    "items": [{"code": "A1"}, {"code": "B2"}],
    "nothing": None,
    "empty": "  ",
    "zero": 0,
    "no": False,
    "a.b": "dotted",
}


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        # event type and code: globs, without regard to case
        ({"event_type": "payment.retrying"}, True),
        ({"event_type": "PAYMENT.*"}, True),
        ({"event_type": "*ret?ying"}, True),
        ({"event_type": "payment"}, False),
        ({"event_type": "[p-q]ayment.*"}, True),
        ({"event_type": "[z-a]*"}, False),
        ({"event_type": "[*"}, False),
        ({"error_code": "card_*"}, True),
        ({"error_code": "card"}, False),
        # more * than anybody may save match nothing
        ({"event_type": "*****"}, True),
        ({"event_type": "******"}, False),
        # status: equal
        ({"status": "gave_up"}, True),
        ({"status": "gave_*"}, False),
        # a value somewhere in the payload
        ({"payload_path": "state", "payload_value": "GAVE_UP"}, True),
        ({"payload_path": "state", "payload_value": "gave"}, False),
        ({"payload_path": "error.kind", "payload_value": "fatal"}, True),
        ({"payload_path": "error.tries", "payload_value": "3"}, True),
        ({"payload_path": "error.is_last", "payload_value": "true"}, True),
        ({"payload_path": "zero", "payload_value": "0"}, True),
        ({"payload_path": "items.1.code", "payload_value": "b2"}, True),
        ({"payload_path": "items.0.code", "payload_value": "b2"}, False),
        ({"payload_path": "error", "payload_value": "fatal"}, False),
        # something there, whatever it is
        ({"payload_path": "state"}, True),
        ({"payload_path": "error"}, True),
        ({"payload_path": "items"}, True),
        ({"payload_path": "error.cause"}, False),
        ({"payload_path": "nothing"}, False),
        ({"payload_path": "empty"}, False),
        ({"payload_path": "zero"}, False),
        ({"payload_path": "no"}, False),
        # nothing there
        ({"payload_path": "elsewhere"}, False),
        ({"payload_path": "Error.kind"}, False),
        ({"payload_path": "state.kind"}, False),
        ({"payload_path": "items.2.code"}, False),
        ({"payload_path": "items.-1.code"}, False),
        ({"payload_path": "items.first"}, False),
        ({"payload_path": "items." + "9" * 5000}, False),
        ({"payload_path": "items.\u0661.code"}, False),  # a digit, but not one of JSON's
        ({"payload_path": "a.b"}, False),
        # every condition that is given
        ({"event_type": "payment.*", "status": "gave_up", "payload_path": "error.kind"}, True),
        ({"event_type": "refund.*", "status": "gave_up"}, False),
        ({"event_type": "payment.*", "payload_path": "elsewhere"}, False),
        # none at all
        ({}, False),
        ({"payload_value": "gave_up"}, False),
    ],
)
def test_a_matcher_holds_when_all_its_conditions_do(
    conditions: dict[str, str], holds: bool
) -> None:
    # success is what nothing shipped would make of this event
    mine = Matcher(SUCCESS, **conditions)
    found = outcome(event_type="Payment.Retrying", payload=PAYLOAD, matchers=[mine])
    assert found is (SUCCESS if holds else FAILURE)


def test_a_condition_about_what_the_event_does_not_say_never_holds() -> None:
    mine = [Matcher(FAILURE, error_code="*"), Matcher(FAILURE, payload_path="a", payload_value="")]
    assert outcome(event_type="user.action", payload={}, matchers=mine) is NEUTRAL


def test_the_first_matcher_that_holds_decides_and_the_tenants_come_before_the_shipped() -> None:
    mine = [
        Matcher(FAILURE, event_type="other.*"),
        Matcher(NEUTRAL, event_type="job.*"),
        Matcher(SUCCESS, event_type="job.failed"),
    ]
    assert outcome(event_type="job.failed", payload=BROKEN, matchers=mine) is NEUTRAL
    assert outcome(event_type="job.failed", payload=BROKEN) is FAILURE


def test_what_is_shipped_are_rules_that_a_tenant_could_have_saved() -> None:
    assert [faults(matcher) for matcher in SHIPPED] == [{}] * len(SHIPPED)


@pytest.mark.parametrize(
    ("conditions", "field"),
    [
        ({}, "event_type"),
        ({"event_type": "******"}, "event_type"),
        ({"error_code": "*" * 6}, "error_code"),
        ({"payload_value": "x"}, "payload_path"),
        ({"payload_path": "a..b"}, "payload_path"),
        ({"payload_path": ".a"}, "payload_path"),
        ({"payload_path": "a."}, "payload_path"),
    ],
)
def test_what_cannot_be_a_rule_is_said_at_its_field(conditions: dict[str, str], field: str) -> None:
    assert list(faults(Matcher(FAILURE, **conditions))) == [field]


WORDS = st.text(max_size=12) | st.sampled_from(
    ["*", "a.b", "[!", "a.0.b", "error", "\x00", "9" * 5000]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
)


@given(
    event_type=WORDS,
    payload=JSON | st.dictionaries(st.sampled_from(["status", "error_code", "error", "a"]), JSON),
    mine=st.lists(st.builds(Matcher, st.sampled_from(Outcome), *[WORDS] * 5), max_size=4),
)
def test_no_event_and_no_matcher_may_raise(
    event_type: str, payload: object, mine: list[Matcher]
) -> None:
    assert outcome(event_type=event_type, payload=payload, matchers=mine) in Outcome
    assert all(text for matcher in mine for text in faults(matcher).values())


@given(
    where=st.lists(st.text("abc0", min_size=1, max_size=3), min_size=1, max_size=4), value=st.text()
)
def test_a_path_finds_what_stands_at_its_end(where: list[str], value: str) -> None:
    payload: object = value
    for name in reversed(where):
        payload = {name: payload}
    mine = [Matcher(SUCCESS, payload_path=".".join(where))]
    found = outcome(event_type="user.action", payload=payload, matchers=mine)
    assert found is (SUCCESS if value.strip() else NEUTRAL)


def test_a_started_event_opens_a_run() -> None:
    assert opens_run("workflow.started")
    assert opens_run("Step.STARTED")
    assert not opens_run("workflow.restarted")
    assert not opens_run("workflow.started.late")


def test_facts_take_any_json() -> None:
    payload = {
        "error_code": 503,
        "error_message": " boom ",
        "vendor": ["stripe"],
        "step": None,
        "status": True,
    }
    facts = facts_from("call.failed", payload, "billing")
    assert (facts.error_code, facts.error_message) == ("503", "boom")
    assert (facts.vendor, facts.step, facts.status) == ("", "", "True")
    assert (facts.event_type, facts.workflow) == ("call.failed", "billing")


@pytest.mark.parametrize("payload", [None, [], "text", 7, {"error_code": 10**6000}])
def test_facts_of_an_unreadable_payload_are_empty(payload: object) -> None:
    facts = facts_from("call.failed", payload, "billing")
    assert (facts.error_code, facts.error_message, facts.status) == ("", "", "")


def test_facts_prefer_the_exact_status() -> None:
    payload = {"status": "failed", "http_status": 502}
    assert facts_from("call.failed", payload, "billing").status == "502"


def test_facts_are_capped() -> None:
    facts = facts_from("call.failed", {"error_message": "x" * 100_000}, "billing")
    assert len(facts.error_message) == 8192
