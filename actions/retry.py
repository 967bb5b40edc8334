"""The only arithmetic of waiting between attempts: pure, and never above the policy's cap."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from safety.rulefiles import RetryPolicy

RETRY_AFTER_LIMIT_SECONDS: Final = 86_400.0  # a hostile "Retry-After: 1e9" must not park a run
_HUGE_SECONDS: Final = 1e15  # above every cap, yet finite: infinity times a random 0 is no number


def delay_seconds(
    policy: RetryPolicy,
    *,
    attempt: int,
    random: Callable[[], float],
    retry_after_seconds: float | None,
    previous_seconds: float | None = None,
) -> float:
    """The wait before retry number `attempt`, 1 the first: min(cap, jitter(base · multiplierⁿ)).

    A Retry-After wins over the back-off, up to the same cap. `random` answers from [0, 1).
    `previous_seconds`, the wait before this one, matters to decorrelated jitter only.
    """
    cap = policy.max_delay_ms / 1000
    if retry_after_seconds is not None and policy.respect_retry_after:
        return max(0.0, min(retry_after_seconds, cap, RETRY_AFTER_LIMIT_SECONDS))
    if policy.jitter == "decorrelated":
        return min(cap, _decorrelated(policy, previous_seconds, random()))
    backoff = min(_backoff_seconds(policy, attempt), _HUGE_SECONDS)
    # The cap comes last: spread first, or the spread would lift a delay above it.
    return min(cap, backoff * _spread(policy, random))


@dataclass(frozen=True)
class Step:
    """One retry of a schedule, in seconds: its wait, what jitter can make of it, and all waits so far."""

    number: int
    seconds: float
    lowest: float
    highest: float
    elapsed: float


def steps(policy: RetryPolicy) -> tuple[Step, ...]:
    """The schedule as a table for people; decorrelated jitter has no wait of its own, so the middle stands for it."""
    found: list[Step] = []
    lowest = highest = None
    elapsed = 0.0
    for number in range(1, policy.max_retries + 1) if policy.enabled else ():
        lowest = _extreme(policy, number, share=0.0, previous=lowest)
        highest = _extreme(policy, number, share=1.0, previous=highest)
        seconds = min(policy.max_delay_ms / 1000, _backoff_seconds(policy, number))
        if policy.jitter == "decorrelated":
            seconds = (lowest + highest) / 2
        elapsed += seconds
        found.append(Step(number, seconds, lowest, highest, elapsed))
    return tuple(found)


def schedule(policy: RetryPolicy) -> tuple[float, ...]:
    """The waits without jitter, one for each retry."""
    return tuple(step.seconds for step in steps(policy))


def parse_retry_after(value: str, *, now: datetime) -> float | None:
    """Seconds from a Retry-After header, digits or HTTP date, within 0 to a day; else None."""
    text = value.strip(" \t")
    if re.fullmatch(r"[0-9]+", text):
        # Ten digits are already beyond the limit; int() of a megabyte of them is an attack.
        return min(float(text[:400].lstrip("0")[:10] or 0), RETRY_AFTER_LIMIT_SECONDS)
    moment = _http_date(text)
    if moment is None:
        return None
    return max(0.0, min((moment - now).total_seconds(), RETRY_AFTER_LIMIT_SECONDS))


def _extreme(policy: RetryPolicy, attempt: int, *, share: float, previous: float | None) -> float:
    """The wait when the dice fall one way each time."""
    return delay_seconds(
        policy,
        attempt=attempt,
        random=lambda: share,
        retry_after_seconds=None,
        previous_seconds=previous,
    )


def _backoff_seconds(policy: RetryPolicy, attempt: int) -> float:
    if attempt < 1:
        raise ValueError(f"attempts are counted from 1, not {attempt}")
    base = policy.initial_delay_ms / 1000
    if policy.backoff_strategy == "fixed":
        return base
    if policy.backoff_strategy == "linear":
        return base * attempt
    return base * _power(policy.backoff_multiplier, attempt - 1)


def _power(multiplier: float, exponent: int) -> float:
    try:
        return min(multiplier**exponent, _HUGE_SECONDS)
    except OverflowError:
        return _HUGE_SECONDS


def _spread(policy: RetryPolicy, random: Callable[[], float]) -> float:
    """What the delay is multiplied with."""
    if policy.jitter == "full":
        return random()
    if policy.jitter == "equal":
        return 0.5 + random() / 2
    if policy.jitter == "factor":
        return 1 + policy.jitter_factor * (2 * random() - 1)
    return 1.0


def _decorrelated(policy: RetryPolicy, previous_seconds: float | None, share: float) -> float:
    base = policy.initial_delay_ms / 1000
    highest = max(base, 3 * (base if previous_seconds is None else previous_seconds))
    return base + (highest - base) * share


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    # HTTP dates are GMT; the old asctime form just does not say so.
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
