"""The only place that reads a value of the query language: a number, a duration, an instant, a short form."""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from awfdrs_site.lib import rfc3339

NUMBER_MOST = 10**15
DAYS_MOST = 36_500

_WHOLE = re.compile(r"([0-9]{1,15})([km]?)", re.IGNORECASE)
_TIMES = {"": 1, "k": 1000, "m": 1_000_000}
_PART = re.compile(r"([0-9]{1,9})(w|d|h|m|s)", re.IGNORECASE)
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MINUTE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?=Z?\Z|[+-])")
_SHOWN = 6


class NotMeant(ValueError):
    """A value that cannot be meant; its text says what was expected."""


def whole(text: str) -> int:
    """`250`, `2k`, `1m`."""
    found = _WHOLE.fullmatch(text)
    if found is None:
        raise NotMeant("Expected a whole number, such as 100 or 2k.")
    return min(int(found[1]) * _TIMES[found[2].lower()], NUMBER_MOST)


def duration(text: str) -> timedelta:
    """`90s`, `2h`, `1d12h`; the units are w d h m s."""
    parts = _PART.findall(text)
    if not parts or "".join(n + unit for n, unit in parts) != text or len(parts) > len(_UNITS):
        raise NotMeant("Expected how long, such as 30m, 2h or 3d.")
    total = sum((_part(int(n), unit.lower()) for n, unit in parts), timedelta())
    return min(total, timedelta(days=DAYS_MOST))


def _part(n: int, unit: str) -> timedelta:
    try:
        return timedelta(**{_UNITS[unit]: n})
    except OverflowError:
        return timedelta(days=DAYS_MOST)


def instant(text: str) -> datetime:
    """An RFC 3339 time; a day, or a day and a minute, are meant in UTC unless they say otherwise."""
    try:
        if _DAY.fullmatch(text):
            return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
        if minute := _MINUTE.match(text):
            offset = text[minute.end() :] or "Z"
            return rfc3339.parse(f"{minute[0]}:00{offset}")
        return rfc3339.parse(text)
    except ValueError:
        raise NotMeant("Expected a time, such as 2026-01-19 or 2026-01-19T10:00Z.") from None


def short(text: str, among: Iterable[str], *, what: str) -> str:
    """The one of `among` that `text` is, or that alone begins so, whatever its case."""
    known = list(among)
    wanted = text.casefold()
    found = [one for one in known if one.casefold().startswith(wanted)] if wanted else []
    exact = [one for one in found if one.casefold() == wanted]
    if exact or len(found) == 1:
        return (exact or found)[0]
    if found:
        raise NotMeant(f"“{text}” may be {either(found)}.")
    raise NotMeant(f"“{text}” is no {what}. Expected {either(known)}.")


def either(words: Iterable[str]) -> str:
    """`a, b or c`; of many the first few."""
    said = list(words)
    if len(said) > _SHOWN:
        return f"{', '.join(said[:_SHOWN])} or {len(said) - _SHOWN} more"
    return " or ".join(filter(None, (", ".join(said[:-1]), said[-1])))
