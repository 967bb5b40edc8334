"""What is said of a vendor's breaker, limits and retries: tables, no rows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actions import vendor_words
from actions.vendor_shapes import Use
from safety.budget import Meter, Minute
from safety.models import CircuitBreaker
from safety.ruletypes import BreakerPolicy
from safety.states import BreakerStatus, Forced

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
POLICY = BreakerPolicy(failure_threshold=5, half_open_requests=3)


@pytest.mark.parametrize(
    ("fields", "kind", "text", "detail"),
    [
        ({}, "resolved", "Closed", "no call in the last 60 s"),
        (
            {
                "state": BreakerStatus.OPEN,
                "open_until": NOW,
                "opened_because": "5 failures in a row",
            },
            "open",
            "Open",
            "5 failures in a row",
        ),
        (
            {"state": BreakerStatus.HALF_OPEN, "successes": 1, "probes": {"act_1": "later"}},
            "recovering",
            "Half-open",
            "1 of 3 probes succeeded, 1 under way",
        ),
        (
            {"forced": Forced.FORCED_OPEN, "forced_reason": "their outage"},
            "human",
            "Held open",
            "no call goes out: their outage",
        ),
        ({"forced": Forced.FORCED_CLOSED}, "human", "Held closed", "every call goes out"),
        ({"forced": Forced.SHADOW}, "human", "Watching only", "it judges and refuses nothing"),
    ],
)
def test_a_breaker_says_its_state_and_what_comes_next(
    fields: dict[str, Any], kind: str, text: str, detail: str
) -> None:
    step = vendor_words.step(CircuitBreaker(**fields), POLICY, now=NOW)
    assert (step.kind, step.text, step.detail) == (kind, text, detail)


@pytest.mark.parametrize(
    ("used", "limit", "percent", "kind"),
    [
        (0, 10, 0, "accent"),
        (7, 10, 70, "accent"),
        (8, 10, 80, "wait"),
        (10, 10, 100, "bad"),
        (25, 10, 100, "bad"),
        (0, 0, 100, "bad"),
    ],
)
def test_a_limit_says_how_near_it_is(used: int, limit: int, percent: int, kind: str) -> None:
    use = Use("Retries", used, limit, "in an hour")
    assert (use.percent, use.kind) == (percent, kind)


def _meter(**last: int) -> Meter:
    minutes = [Minute(NOW - timedelta(minutes=59 - n)) for n in range(59)]
    return Meter((*minutes, Minute(NOW, **last)))


@pytest.mark.parametrize(
    ("last", "times", "says"),
    [
        ({}, "–", "no call in the last hour"),
        ({"originals": 50, "retries": 5}, "1.10×", "5 retries for 50 calls in the last hour"),
        ({"retries": 1}, "–", "1 retry for 0 calls in the last hour"),
        (
            {"originals": 1, "campaign_calls": 40},
            "1.00×",
            "0 retries for 1 call in the last hour, 40 by campaigns",
        ),
    ],
)
def test_amplification_counts_retries_against_what_workflows_called(
    last: dict[str, int], times: str, says: str
) -> None:
    amplified = vendor_words.amplified(_meter(**last))
    assert (amplified.times, amplified.says) == (times, says)


def test_retries_stand_on_the_calls_of_their_minute() -> None:
    calls, retries = vendor_words.amplified(_meter(originals=30, retries=10)).chart.bars
    assert not calls.is_spike
    assert retries.is_spike
    assert calls.y + calls.height == vendor_words.HEIGHT
    assert retries.y + retries.height == calls.y
    assert retries.y >= 0
