"""The only place that draws an incident's hours: bars as numbers for SVG attributes, and the same in words."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from incidents.hours import hour_of
from incidents.presentation.figures import Bar, Chart

HEIGHT = 22  # of the highest bar; the drawing is two units higher
_STEP, _WIDTH = 4, 3
_SPIKE_TIMES, _SPIKE_LEAST = 3, 5  # red is an hour of 5 events or more, and 3 times the mean
_TICKS = 4


def chart(hours: Mapping[datetime, int], *, n_hours: int, now: datetime) -> Chart:
    """The last `n_hours`, the current one included; heights are of the highest hour."""
    since = hour_of(now.astimezone(UTC)) - timedelta(hours=n_hours - 1)
    counts = [hours.get(hour, 0) for hour in _those(since, n_hours)]
    peak, total = max(counts), sum(counts)
    bars = tuple(
        _bar(place, count, peak, _is_spike(count, total, n_hours), since)
        for place, count in enumerate(counts)
        if count
    )
    span = f"{n_hours // 24} days" if n_hours > 24 else f"{n_hours} hours"
    return Chart(
        span=span,
        width=n_hours * _STEP - (_STEP - _WIDTH),
        bars=bars,
        peak=peak,
        total=total,
        label=_label(span, total, peak, since + timedelta(hours=counts.index(peak))),
        ticks=_ticks(since, n_hours),
    )


# Fifty rows of a list draw the same hours.
@lru_cache(maxsize=16)
def _those(since: datetime, n_hours: int) -> tuple[datetime, ...]:
    return tuple(since + timedelta(hours=place) for place in range(n_hours))


@lru_cache(maxsize=16)
def _ticks(since: datetime, n_hours: int) -> tuple[str, ...]:
    return tuple(_tick(since, n_hours, part) for part in range(_TICKS))


@lru_cache(maxsize=1000)
def _spoken(hour: datetime, how: str) -> str:
    return f"{hour:{how}} UTC"


def _bar(place: int, count: int, peak: int, is_spike: bool, since: datetime) -> Bar:
    height = max(2, round(HEIGHT * count / peak))
    hour = since + timedelta(hours=place)
    return Bar(
        x=place * _STEP,
        y=HEIGHT - height,
        height=height,
        is_spike=is_spike,
        label=f"{_spoken(hour, '%a %d %b %H:%M')}: {_events(count)}",
    )


def _is_spike(count: int, total: int, n_hours: int) -> bool:
    return count >= _SPIKE_LEAST and count * n_hours >= _SPIKE_TIMES * total


def _label(span: str, total: int, peak: int, peak_at: datetime) -> str:
    if not total:
        return f"No event in {span}"
    peak_hour = _spoken(peak_at, "%a %H:%M")
    return f"{_events(total)} in {span}, most in the hour from {peak_hour}: {peak:,}"


def _events(count: int) -> str:
    return f"{count:,} event{'' if count == 1 else 's'}"


def _tick(since: datetime, n_hours: int, part: int) -> str:
    at = since + timedelta(hours=n_hours * part // _TICKS)
    return f"{at:%H:%M}" if n_hours <= 24 else f"{at:%a %H:%M}"
