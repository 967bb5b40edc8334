"""Times as they arrive and as they leave."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awfdrs_site.lib import rfc3339


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-19T10:00:00Z", datetime(2026, 1, 19, 10, tzinfo=UTC)),
        ("2026-01-19t10:00:00z", datetime(2026, 1, 19, 10, tzinfo=UTC)),
        ("2026-01-19T10:00:00-00:00", datetime(2026, 1, 19, 10, tzinfo=UTC)),
        ("2026-01-19T10:00:00.5+05:30", datetime(2026, 1, 19, 4, 30, 0, 500_000, tzinfo=UTC)),
        ("2026-01-19T23:00:00-23:59", datetime(2026, 1, 20, 22, 59, tzinfo=UTC)),
        ("2026-01-19T10:00:00.123456Z", datetime(2026, 1, 19, 10, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-01-19T10:00:00.123456999Z", datetime(2026, 1, 19, 10, 0, 0, 123_456, tzinfo=UTC)),
        ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_with_an_offset_is_read_as_utc(text: str, moment: datetime) -> None:
    parsed = rfc3339.parse(text)
    assert parsed == moment
    assert parsed.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "now",
        "infinity",
        "1700000000",
        "2026-01-19",
        "2026-01-19T10:00:00",
        "2026-01-19T10:00Z",
        "2026-01-19 10:00:00Z",
        "2026-01-19T10:00:00 Z",
        "2026-01-19T10:00:00Z\n",
        " 2026-01-19T10:00:00Z",
        "2026-01-19T10:00:00Z\0",
        "2026-01-19T10:00:00.Z",
        "2026-01-19T10:00:00,5Z",
        "2026-01-19T10:00:00+0100",
        "2026-01-19T10:00:00+01",
        "2026-01-19T10:00:00+25:00",
        "2026-01-19T10:00:00+24:00",
        "2026-01-19T10:00:00+01:60",
        "2026-01-19T24:00:00Z",
        "2026-01-19T10:60:00Z",
        "2026-01-19T10:00:61Z",
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "12026-01-19T10:00:00Z",
        "-2026-01-19T10:00:00Z",
        "2026-W03-1T10:00:00Z",
        "20260119T100000Z",
        "\uff12\uff10\uff12\uff16-01-19T10:00:00Z",
        "\u0662\u0660\u0662\u0666-01-19T10:00:00Z",
        "2026-01-19T10:00:00[Europe/Berlin]",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        rfc3339.parse(text)


@pytest.mark.parametrize(
    "text",
    ["2016-12-31T23:59:60Z", "2016-12-31T23:59:60.9Z", "2017-01-01T00:59:60+01:00"],
)
def test_a_leap_second_stays_in_its_day(text: str) -> None:
    assert rfc3339.parse(text) == datetime(2016, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2016-12-31T23:58:60Z",
        "2016-12-31T22:59:60Z",
        "2016-12-30T23:59:60Z",
        "2016-12-31T23:59:60+01:00",
    ],
)
def test_a_leap_second_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="leap second"):
        rfc3339.parse(text)


def test_the_last_second_of_the_calendar_is_no_overflow() -> None:
    assert rfc3339.parse("9999-12-31T23:59:60Z").year == 9999


def test_a_fraction_of_any_length_is_cut() -> None:
    assert rfc3339.parse(f"2026-01-19T10:00:00.{'9' * 100_000}Z").microsecond == 999_999


def test_answers_are_utc_with_a_z() -> None:
    berlin = timezone(timedelta(hours=1))
    assert rfc3339.format(datetime(2026, 1, 19, 10, tzinfo=berlin)) == "2026-01-19T09:00:00Z"
    assert (
        rfc3339.format(datetime(2026, 1, 19, 10, 0, 0, 42, tzinfo=UTC))
        == "2026-01-19T10:00:00.000042Z"
    )


def test_a_naive_time_is_not_written() -> None:
    with pytest.raises(ValueError, match="offset"):
        rfc3339.format(datetime(2026, 1, 19, 10))


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_is_written_reads_back_as_the_same_instant(moment: datetime) -> None:
    assert rfc3339.parse(rfc3339.format(moment)) == moment


@given(st.text(max_size=40))
def test_no_text_raises_anything_but_a_refusal(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        rfc3339.parse(text)
