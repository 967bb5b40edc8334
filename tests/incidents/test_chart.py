"""Hours as bars: what is high is red, what is empty is nothing, and the words say the same."""

from datetime import UTC, datetime, timedelta

import pytest

from incidents.presentation.chart import HEIGHT, chart

NOW = datetime(2026, 3, 4, 12, 40, tzinfo=UTC)
THIS_HOUR = NOW.replace(minute=0)


def _hours(*counts: int) -> dict[datetime, int]:
    """The last of `counts` is this hour's."""
    return {THIS_HOUR - timedelta(hours=back): n for back, n in enumerate(reversed(counts)) if n}


def test_the_current_hour_is_the_last_bar_and_the_peak_is_as_high_as_it_gets() -> None:
    drawn = chart(_hours(2, 4), n_hours=24, now=NOW)
    assert [(bar.x, bar.height) for bar in drawn.bars] == [(88, 11), (92, HEIGHT)]
    assert all(bar.y + bar.height == HEIGHT for bar in drawn.bars)
    assert drawn.bars[-1].x + 3 == drawn.width


def test_hours_out_of_sight_are_not_drawn() -> None:
    old = {THIS_HOUR - timedelta(hours=24): 9, THIS_HOUR - timedelta(hours=23): 1}
    assert [bar.x for bar in chart(old, n_hours=24, now=NOW).bars] == [0]


@pytest.mark.parametrize(
    ("counts", "red"),
    [
        ((9,), [True]),  # one burst in a quiet day
        ((4,), [False]),  # too few to speak of
        ((9,) * 24, [False] * 24),  # as it is every hour
        ((1,) * 22 + (12, 14), [False] * 22 + [True, True]),
    ],
)
def test_a_spike_is_red(counts: tuple[int, ...], red: list[bool]) -> None:
    assert [bar.is_spike for bar in chart(_hours(*counts), n_hours=24, now=NOW).bars] == red


def test_the_words_say_what_the_bars_show() -> None:
    drawn = chart(_hours(1200, 84), n_hours=24, now=NOW)
    assert drawn.label == "1,284 events in 24 hours, most in the hour from Wed 11:00 UTC: 1,200"
    assert drawn.bars[0].label == "Wed 04 Mar 11:00 UTC: 1,200 events"
    assert chart({}, n_hours=168, now=NOW).label == "No event in 7 days"


def test_a_single_event_is_still_seen_beside_a_storm() -> None:
    assert chart(_hours(1, 100_000), n_hours=24, now=NOW).bars[0].height == 2


def test_the_axis_begins_with_the_first_hour() -> None:
    assert chart({}, n_hours=24, now=NOW).ticks == ("13:00", "19:00", "01:00", "07:00")
    assert chart({}, n_hours=168, now=NOW).ticks[0] == "Wed 13:00"
