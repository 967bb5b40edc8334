"""A change of rules over what really happened: nothing changed differs in nothing, and three retries more are named."""

from typing import Any

import pytest

from actions.simulation.change import NOTHING, Change, OutcomeChange
from incidents.analysis.outcome import Matcher
from incidents.states import Outcome
from tenants.models import Tenant
from tests.cast import Travel
from tests.support.days import Days

pytestmark = pytest.mark.django_db


@pytest.fixture
def days(acme: Tenant, time_travel: Travel) -> Days:
    """Of five runs one is mended by its retry, one alone, two by nothing, and one late."""
    days = Days(acme, time_travel)
    days.rule("vendor", "stripe", breaker__failure_threshold=1000)
    days.rule("workflow", "checkout", retry__max_retries=3, retry__jitter="none")
    days.busy = {"worse", "bad", "late"}
    days.fails("mended", "alone", "bad")
    days.succeeds("alone")
    days.later(seconds=5)
    days.succeeds("mended")
    days.fails("worse", "late")
    days.later(turns=8, seconds=20)
    days.later(minutes=10)
    days.succeeds("late")
    days.fails("other", error_code="", error_message="disk full", vendor="")
    days.later(turns=2, minutes=20)
    return days


def numbers(found: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return sorted((one["run"], one["number"]) for one in found)


def test_an_unchanged_rule_differs_in_nothing_and_the_baseline_is_what_happened(days: Days) -> None:
    found = days.simulate(days.next_version("workflow", "checkout"))
    assert found["baseline"]["differences"] == []
    assert found["baseline"]["is_same"]
    assert found["baseline"]["incidents"] == found["baseline"]["recorded_incidents"] >= 2
    assert found["baseline"]["attempts"] == found["baseline"]["recorded_attempts"] >= 10
    assert found["is_empty"]
    assert days.simulate(NOTHING)["is_empty"]


def test_five_retries_instead_of_three_names_exactly_the_attempts_that_come_with_it(
    days: Days,
) -> None:
    change = days.next_version("workflow", "checkout", retry__max_retries=5)
    found = days.simulate(change, assumed="fail")
    four_and_five = [(run, number) for run in ("bad", "late", "worse") for number in (4, 5)]
    assert numbers(found["attempts"]["added"]) == four_and_five
    assert found["attempts"]["removed"] == []
    # a run that recovered later would have taken the first attempt that came in between
    observed = days.simulate(change)["attempts"]["added"]
    assert numbers(observed) == [one for one in four_and_five if one != ("late", 5)]
    assert {one["is_assumed"] for one in observed} == {True}


def test_fewer_retries_take_their_successes_with_them_and_call_people(days: Days) -> None:
    found = days.simulate(days.next_version("workflow", "checkout", retry__max_retries=1))
    assert numbers(found["attempts"]["removed"]) == [
        (run, number) for run in ("bad", "late", "worse") for number in (2, 3)
    ]
    # no retry at all: what one had mended stays hurt, and people hear of it
    days.busy.clear()
    off = days.simulate(days.next_version("workflow", "checkout", mode="off"))
    assert off["attempts"]["after"] == 0
    assert off["baseline"]["is_same"]


def test_a_breaker_that_opens_earlier_and_a_rule_that_asks_people_are_told(days: Days) -> None:
    earlier = days.simulate(days.next_version("vendor", "stripe", breaker__failure_threshold=3))
    [stripe] = earlier["vendors"]
    assert stripe["breaker_openings_before"] == 0 < stripe["breaker_openings_after"]
    asking = days.simulate(days.next_version("workflow", "checkout", mode="approve"))
    assert sorted(one["run"] for one in asking["approvals"]["added"]) == [
        "alone",
        "bad",
        "late",
        "mended",
        "worse",
    ]
    louder = days.simulate(days.next_version("workflow", "checkout", severity="critical"))
    assert [one["severity"] for one in louder["severities"]["moved"]] == ["critical"]
    assert louder["attempts"]["n_added"] == louder["attempts"]["n_removed"] == 0


def test_another_reading_of_events_opens_and_leaves_out_incidents(days: Days) -> None:
    calm = Matcher(Outcome.NEUTRAL, event_type="payment.failed", payload_path="error_message")
    found = days.simulate(Change(outcome=OutcomeChange("", 0, calm)))
    assert found["incidents"]["n_removed"] == found["incidents"]["before"]
    assert found["attempts"]["after"] == 0
    harsh = Matcher(Outcome.FAILURE, event_type="payment.completed")
    found = days.simulate(Change(outcome=OutcomeChange("", 0, harsh)))
    assert found["incidents"]["n_added"] >= 1
    assert found["baseline"]["is_same"]
