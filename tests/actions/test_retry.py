"""Waiting between attempts: the cap comes last, Retry-After wins, all is bounded."""

import math
import random as random_numbers
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actions.retry import (
    RETRY_AFTER_LIMIT_SECONDS,
    Step,
    delay_seconds,
    parse_retry_after,
    schedule,
    steps,
)
from safety.rulefields import JITTERS, STRATEGIES
from safety.rulefiles import RetryPolicy, load, shipped

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALMOST_ONE = math.nextafter(1.0, 0.0)

POLICIES = st.builds(
    RetryPolicy,
    enabled=st.just(True),
    max_retries=st.integers(0, 100),
    backoff_strategy=st.sampled_from(STRATEGIES),
    initial_delay_ms=st.integers(0, 86_400_000),
    max_delay_ms=st.integers(0, 86_400_000),
    backoff_multiplier=st.floats(1, 100),
    jitter=st.sampled_from(JITTERS),
    jitter_factor=st.floats(0, 1),
    respect_retry_after=st.booleans(),
)
SHARES = st.floats(0, ALMOST_ONE)
ATTEMPTS = st.integers(1, 10**6)


def policy(**changes: Any) -> RetryPolicy:
    return RetryPolicy(**({"enabled": True, "max_retries": 6, "max_delay_ms": 20_000} | changes))


def always(share: float) -> Callable[[], float]:
    return lambda: share


def wait(
    how: RetryPolicy, attempt: int = 1, share: float = 0.5, after: float | None = None
) -> float:
    return delay_seconds(how, attempt=attempt, random=always(share), retry_after_seconds=after)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("fixed", (1, 1, 1, 1, 1, 1)),
        ("linear", (1, 2, 3, 4, 5, 6)),
        ("exponential", (1, 2, 4, 8, 16, 20)),
    ],
)
def test_each_strategy_has_its_schedule(strategy: str, expected: tuple[float, ...]) -> None:
    how = policy(backoff_strategy=strategy)
    assert schedule(how) == expected
    assert tuple(wait(how, attempt) for attempt in range(1, 7)) == expected


def test_the_shipped_policies_read_as_their_tables() -> None:
    policies = load(shipped()).policies
    assert schedule(policies["rate_limit"].as_policy()) == (2, 5, 12.5, 31.25, 60)
    assert schedule(policies["exponential_backoff"].as_policy()) == (1, 2, 4, 8, 16)
    assert schedule(policies["user_error"].as_policy()) == ()
    assert schedule(policies["no_retry"].as_policy()) == ()


def test_a_policy_that_does_not_retry_has_no_schedule() -> None:
    assert schedule(policy(enabled=False)) == ()
    assert schedule(policy(max_retries=0)) == ()


def test_the_table_says_what_jitter_makes_of_each_wait() -> None:
    how = policy(jitter="factor", jitter_factor=0.25, max_retries=3)
    assert steps(how) == (
        Step(1, seconds=1, lowest=0.75, highest=1.25, elapsed=1),
        Step(2, seconds=2, lowest=1.5, highest=2.5, elapsed=3),
        Step(3, seconds=4, lowest=3, highest=5, elapsed=7),
    )


def test_the_table_of_decorrelated_jitter_has_the_middle_of_what_may_come() -> None:
    how = policy(jitter="decorrelated", max_retries=4)
    spans = [(step.lowest, step.seconds, step.highest) for step in steps(how)]
    # each wait is drawn up to three times the one before, and the cap of 20 s comes last
    assert spans == [(1, 2, 3), (1, 5, 9), (1, 10.5, 20), (1, 10.5, 20)]


@given(POLICIES, SHARES)
def test_no_wait_leaves_the_range_of_the_table(how: RetryPolicy, share: float) -> None:
    previous = None
    for step in steps(how):
        previous = delay_seconds(
            how,
            attempt=step.number,
            random=always(share),
            retry_after_seconds=None,
            previous_seconds=previous,
        )
        assert step.lowest <= previous <= step.highest
        assert step.lowest <= step.seconds <= step.highest


@pytest.mark.parametrize(
    ("jitter", "lowest", "middle", "highest"),
    [
        ("none", 4, 4, 4),
        ("full", 0, 2, 4),
        ("equal", 2, 3, 4),
        ("factor", 3, 4, 5),  # 4 s ± 25 %
    ],
)
def test_each_jitter_spreads_within_its_bounds(
    jitter: str, lowest: float, middle: float, highest: float
) -> None:
    how = policy(jitter=jitter, jitter_factor=0.25)
    shares = (0.0, 0.5, ALMOST_ONE)
    assert [wait(how, 3, share) for share in shares] == pytest.approx([lowest, middle, highest])


def test_decorrelated_jitter_grows_from_the_wait_before() -> None:
    how = policy(jitter="decorrelated")

    def after(previous: float | None, share: float) -> float:
        return delay_seconds(
            how,
            attempt=2,
            random=always(share),
            retry_after_seconds=None,
            previous_seconds=previous,
        )

    assert [after(None, 0), after(None, 0.5)] == [1, 2]  # 1 s to 3 · 1 s
    assert [after(4, 0), after(4, 0.5)] == [1, 6.5]
    assert after(1000, 0.5) == 20  # the cap
    assert after(0, 0.5) == 1  # never below the first delay


def test_the_cap_comes_after_the_jitter() -> None:
    # 16 s + 25 % is 20 s; the original's 20 % went on top of the cap
    how = policy(jitter="factor", jitter_factor=0.5)
    assert wait(how, 5, share=ALMOST_ONE) == 20
    assert wait(how, 6, share=ALMOST_ONE) == 20


@pytest.mark.parametrize(
    ("after", "respects", "expected"),
    [
        (7.5, True, 7.5),
        (0, True, 0),
        (3600, True, 20),  # up to the policy's cap
        (-5, True, 0),
        (math.inf, True, 20),
        (math.nan, True, 0),
        (7.5, False, 4),
        (None, True, 4),
    ],
)
def test_retry_after_wins_up_to_the_cap(
    after: float | None, respects: bool, expected: float
) -> None:
    how = policy(respect_retry_after=respects)
    assert wait(how, 3, after=after) == expected
    assert wait(policy(jitter="decorrelated"), 3, after=7.5) == 7.5


def test_retry_after_never_parks_a_run_for_more_than_a_day() -> None:
    # no rulebook may say so, but a policy is only a dataclass
    assert wait(policy(max_delay_ms=10**9), after=10**9) == RETRY_AFTER_LIMIT_SECONDS


@pytest.mark.parametrize("attempt", [0, -1])
def test_attempts_are_counted_from_one(attempt: int) -> None:
    with pytest.raises(ValueError, match="counted from 1"):
        wait(policy(), attempt)


@given(POLICIES, ATTEMPTS, SHARES, st.none() | st.floats(-1e9, 1e12), st.none() | SHARES)
@example(policy(backoff_multiplier=100.0, jitter="full"), 10**6, 0.0, None, None)
@example(policy(initial_delay_ms=0, backoff_multiplier=100.0), 10**6, 0.5, None, None)
def test_a_wait_is_finite_never_negative_and_never_above_the_cap(
    how: RetryPolicy, attempt: int, share: float, after: float | None, previous: float | None
) -> None:
    seconds = delay_seconds(
        how,
        attempt=attempt,
        random=always(share),
        retry_after_seconds=after,
        previous_seconds=previous,
    )
    assert 0 <= seconds <= how.max_delay_ms / 1000


@given(POLICIES, ATTEMPTS, SHARES)
def test_a_later_attempt_never_waits_less_by_the_same_dice(
    how: RetryPolicy, attempt: int, share: float
) -> None:
    assert wait(how, attempt, share) <= wait(how, attempt + 1, share)


@given(POLICIES)
def test_the_schedule_has_a_wait_for_each_retry_in_rising_order(how: RetryPolicy) -> None:
    waits = schedule(how)
    assert len(waits) == how.max_retries
    assert list(waits) == sorted(waits)
    assert all(0 <= seconds <= how.max_delay_ms / 1000 for seconds in waits)


def test_the_same_seed_gives_the_same_waits() -> None:
    def waits(seed: int) -> list[float]:
        dice = random_numbers.Random(seed)
        return [
            delay_seconds(
                policy(jitter="full"), attempt=3, random=dice.random, retry_after_seconds=None
            )
            for _ in range(5)
        ]

    assert waits(1) == waits(1) != waits(2)


# --- the header --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0),
        ("120", 120),
        (" 120\t", 120),
        ("007", 7),
        ("86400", 86_400),
        ("86401", 86_400),
        ("9" * 100_000, 86_400),
        ("0" * 100_000, 0),
        ("Sun, 01 Mar 2026 12:01:30 GMT", 90),
        ("Sunday, 01-Mar-26 12:01:30 GMT", 90),  # RFC 850
        ("Sun Mar  1 12:01:30 2026", 90),  # asctime
        ("Sun, 01 Mar 2026 13:01:30 +0100", 90),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),  # already over
        ("Sun, 01 Mar 2099 11:00:00 GMT", 86_400),
        ("Sun, 01 Mar 2026 12:01:30", 90),  # of no zone: HTTP means GMT
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
        ("", None),
        ("-5", None),
        ("+5", None),
        ("1.5", None),
        ("1e3", None),
        ("٣", None),
        ("soon", None),
        ("2026-03-01T12:01:30Z", None),
        ("Sun, 31 Feb 2026 12:00:00 GMT", None),
        ("Sun, 01 Mar 2026 12:00:00 +99999999999", None),
    ],
)
def test_a_retry_after_header_is_read_or_ignored(value: str, expected: float | None) -> None:
    assert parse_retry_after(value, now=NOW) == expected


@given(st.text(max_size=60) | st.from_regex(r"[SMTWF][a-z]{2}, [0-9A-Za-z :+-]{0,40}"))
def test_no_header_makes_it_fail_or_leave_its_bounds(value: str) -> None:
    seconds = parse_retry_after(value, now=NOW)
    assert seconds is None or 0 <= seconds <= RETRY_AFTER_LIMIT_SECONDS


@given(st.integers(0, 86_400), st.integers(-14, 14))
def test_a_date_is_the_same_moment_in_every_zone(seconds: int, hours: int) -> None:
    moment = (NOW + timedelta(seconds=seconds)).astimezone(timezone(timedelta(hours=hours)))
    assert parse_retry_after(format_datetime(moment), now=NOW) == seconds
