"""Ids: UUIDv7 that sort by their time, and as they were made within a millisecond."""

from datetime import UTC, date, datetime, timedelta
from uuid import RFC_4122

from hypothesis import given
from hypothesis import strategies as st

from awfdrs_site.lib.ids import day_bound, made_at, uuid7

NOON = datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_an_id_is_a_version_7_uuid_and_remembers_its_millisecond(at: datetime) -> None:
    made = uuid7(at)
    assert (made.version, made.variant) == (7, RFC_4122)
    assert timedelta() <= at - made_at(made) < timedelta(milliseconds=2)


def test_ids_of_one_millisecond_sort_as_they_were_made() -> None:
    made = [uuid7(NOON) for _ in range(5000)]
    # the lines of one change, and the events of one batch, keep their order
    assert made == sorted(made)
    assert len(set(made)) == 5000


def test_a_later_id_sorts_after_an_earlier_one() -> None:
    assert uuid7(NOON) < uuid7(NOON + timedelta(milliseconds=1))


def test_without_a_time_it_is_now() -> None:
    assert abs(made_at(uuid7()) - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_day_begins_at_its_bound() -> None:
    bound = day_bound(date(2026, 3, 2))
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    assert uuid7(midnight - timedelta(milliseconds=1)) < bound <= uuid7(midnight)
