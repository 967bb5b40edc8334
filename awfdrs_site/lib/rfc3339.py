"""The only place that reads times sent to us and writes the times we answer with (RFC 3339)."""

import re
from datetime import UTC, datetime, timedelta, timezone

# [0-9], not \d: fullwidth and Arabic digits are digits to \d.
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
_LAST_MICROSECOND = 999_999


def parse(text: str) -> datetime:
    """UTC; fractions beyond microseconds are cut. Raises ValueError.

    A leap second (23:59:60 UTC on the last day of a month) becomes the last microsecond before
    midnight: neither Python nor Postgres has the instant, and the day must not change.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 time with an offset")
    if text[-1] == "Z" and match[6] != "60":
        return datetime.fromisoformat(text)
    year, month, day, hour, minute, second = map(int, match.group(1, 2, 3, 4, 5, 6))
    microsecond = int((match[7] or "")[:6].ljust(6, "0"))
    is_leap = second == 60
    if is_leap:
        second, microsecond = 59, _LAST_MICROSECOND
    local = datetime(
        year, month, day, hour, minute, second, microsecond, tzinfo=_offset(*match.group(8, 9, 10))
    )
    instant = _in_utc(local)
    if is_leap and not _ends_a_month(instant):
        raise ValueError("no leap second there")
    return instant


def format(moment: datetime) -> str:
    """UTC with a `Z`; microseconds only when there are any. Raises ValueError when naive."""
    if moment.tzinfo is None:
        raise ValueError("a time without an offset")
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return in_utc.isoformat()[:-6] + "Z"


def _offset(sign: str | None, hours: str | None, minutes: str | None) -> timezone:
    if sign is None or hours is None or minutes is None:
        return UTC
    if int(hours) > 23 or int(minutes) > 59:
        raise ValueError("no such offset")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(offset if sign == "+" else -offset)


def _in_utc(local: datetime) -> datetime:
    try:
        return local.astimezone(UTC)
    except OverflowError:  # 0001-01-01T00:00:00+01:00 is before the calendar
        raise ValueError("outside the calendar") from None


def _ends_a_month(instant: datetime) -> bool:
    return (instant.hour, instant.minute) == (23, 59) and (
        instant.date() == datetime.max.date() or (instant + timedelta(days=1)).day == 1
    )
