"""DESIGN.md rule 16 and M10: what counts as a failure, a success, neither."""

import pytest

from incidents.analysis.facts import facts_from
from incidents.analysis.outcome import Outcome, opens_run, outcome

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
        ({"error_message": {"text": "boom"}}, NEUTRAL),
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
