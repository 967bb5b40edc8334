"""The only rules of a breaker's window: what came of recent calls, in a ring that costs the same at any traffic.

By time it holds the last `window_seconds`, by count the last `window_calls`, each to a tenth: the oldest bucket
leaves whole. A policy that measures otherwise starts an empty one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from safety.ruletypes import BreakerPolicy

BUCKETS: Final = 10


@dataclass(frozen=True)
class Bucket:
    number: (
        int  # tenths of the window since the epoch, or since the window began when it counts calls
    )
    calls: int = 0
    failures: int = 0
    slow: int = 0


@dataclass(frozen=True)
class Window:
    kind: str = ""
    span: int = 0  # seconds or calls, as `kind` says
    buckets: tuple[Bucket, ...] = ()  # the oldest first


@dataclass(frozen=True)
class Tally:
    """What the window holds at one moment."""

    calls: int
    failures: int
    slow: int

    @property
    def failure_percent(self) -> float:
        return _percent(self.failures, self.calls)

    @property
    def slow_percent(self) -> float:
        return _percent(self.slow, self.calls)


def add(
    window: Window, *, now: datetime, policy: BreakerPolicy, is_failure: bool, is_slow: bool
) -> Window:
    """The window with one more call in it, and without what has left it meanwhile."""
    window = _as_measured(window, policy)
    by_time = policy.window == "time"
    kept = _within(window, now) if by_time else window.buckets
    number = _tenth(now, window.span) if by_time else _next_number(kept, window.span)
    # A transaction that waited for the row may be older than the last one by a bucket: it joins it.
    if not kept or kept[-1].number < number:
        kept = (*kept, Bucket(number))
    last = kept[-1]
    last = replace(
        last,
        calls=last.calls + 1,
        failures=last.failures + is_failure,
        slow=last.slow + is_slow,
    )
    longest = BUCKETS if by_time else window.span // _bucket_calls(window.span)
    return replace(window, buckets=(*kept[:-1], last)[-longest:])


def tally(window: Window, *, now: datetime, policy: BreakerPolicy) -> Tally:
    window = _as_measured(window, policy)
    kept = _within(window, now) if policy.window == "time" else window.buckets
    return Tally(
        calls=sum(bucket.calls for bucket in kept),
        failures=sum(bucket.failures for bucket in kept),
        slow=sum(bucket.slow for bucket in kept),
    )


def as_json(window: Window) -> dict[str, Any]:
    if not window.buckets:
        return {}
    rows = [[each.number, each.calls, each.failures, each.slow] for each in window.buckets]
    return {"kind": window.kind, "span": window.span, "buckets": rows}


def from_json(stored: Mapping[str, Any]) -> Window:
    if not stored:
        return Window()
    buckets = tuple(Bucket(*row) for row in stored["buckets"])
    return Window(stored["kind"], stored["span"], buckets)


def _as_measured(window: Window, policy: BreakerPolicy) -> Window:
    span = policy.window_seconds if policy.window == "time" else policy.window_calls
    if (window.kind, window.span) == (policy.window, span):
        return window
    return Window(policy.window, span)


def _within(window: Window, now: datetime) -> tuple[Bucket, ...]:
    """Both ways: what a clock far ahead has written is not recent either."""
    number = _tenth(now, window.span)
    return tuple(each for each in window.buckets if abs(number - each.number) < BUCKETS)


def _tenth(now: datetime, span: int) -> int:
    return int(now.timestamp() * BUCKETS) // span


def _next_number(buckets: tuple[Bucket, ...], span: int) -> int:
    if not buckets:
        return 0
    last = buckets[-1]
    return last.number + (last.calls >= _bucket_calls(span))


def _bucket_calls(span: int) -> int:
    return -(-span // BUCKETS)


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0
