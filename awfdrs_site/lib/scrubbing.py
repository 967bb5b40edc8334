"""The only place that takes secrets out of what goes to a log: by name, by shape, and by the values we were given."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

HIDDEN = "[hidden]"
TEXT_MOST = 20_000  # characters of one value; the rest of a longer one is cut
KNOWN_LEAST = 8  # characters: a shorter value stands in too many words
_NAMES = (
    "secret|password|passwd|passphrase|authorization|token|cookie|api[_-]?key|private[_-]?key"
    "|credential|session_?id|client[_-]?key|signature"
)
SECRET_NAME = re.compile(_NAMES, re.IGNORECASE)

_SHAPES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|$)", re.S), HIDDEN),
    # What Postgres adds to an error holds the values of the row, and the statement with its values.
    (
        re.compile(r"^(.*?\b(?:DETAIL|CONTEXT|QUERY|LINE \d+|HINT)):.*$(?:\n\s*\^\s*$)?", re.M),
        rf"\1: {HIDDEN}",
    ),
    (re.compile(r'(invalid input (?:syntax|value) for [^"\n]{1,80}: )".*?"', re.S), rf"\1{HIDDEN}"),
    (re.compile(r"(://)[^/\s@'\"<>]{1,500}@"), rf"\1{HIDDEN}@"),
    (re.compile(r"([?&][\w.%\[\]-]{1,80}=)[^&\s'\"<>]+"), rf"\1{HIDDEN}"),
    # To the end of the line: both may hold several values.
    (
        re.compile(r"(\b(?:authorization|(?:set-)?cookie)[\"']?\s*[:=]\s*)[^\r\n]+", re.I),
        rf"\1{HIDDEN}",
    ),
    # With a digit in it, or too long for a word: "basic settings" stays.
    (
        re.compile(
            r"\b(bearer|basic)\s+(?:(?=[a-z.~+/=_-]*\d)[\w.~+/=-]{6,}|[\w.~+/=-]{20,})", re.I
        ),
        rf"\1 {HIDDEN}",
    ),
    (
        re.compile(
            rf"((?:{_NAMES})[\w-]{{0,30}}[\"']?\s*[:=]\s*)(\"[^\"\n]*\"|'[^'\n]*'|[^\s,;&}}\])'\"]+)",
            re.I,
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"\b(awf_[0-9a-z]{4,32}_)[\w-]{10,}"), rf"\1{HIDDEN}"),
    (re.compile(r"\bwhsec_[\w+/=-]+"), HIDDEN),
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*"), HIDDEN),
    (re.compile(r"\b(?:sk|pk|rk)_(?:live|test)_\w+"), HIDDEN),
    (re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|AIza|SG\.)[\w.-]{10,}"), HIDDEN),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), HIDDEN),
    (re.compile(r"(hooks\.slack\.com/services/)[\w/]+"), rf"\1{HIDDEN}"),
)


def scrub(value: Any) -> Any:
    """The value without secrets, in shapes that JSON knows."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return named({str(name): one for name, one in value.items()})
    if isinstance(value, list | tuple | set | frozenset):
        return [scrub(one) for one in value]
    return text(repr(value))


def named(values: dict[str, Any]) -> dict[str, Any]:
    """What stands under the name of a secret is hidden, whatever it is."""
    return {
        name: HIDDEN if SECRET_NAME.search(name) else scrub(value) for name, value in values.items()
    }


def text(value: str) -> str:
    if len(value) > TEXT_MOST:
        value = f"{value[:TEXT_MOST]}…"
    for known in _known():
        value = value.replace(known, HIDDEN)
    for shape, instead in _SHAPES:
        value = shape.sub(instead, value)
    return value


@cache
def _known() -> tuple[str, ...]:
    """Every secret that this process was started with."""
    given = [
        settings.SECRET_KEY,
        settings.METRICS_TOKEN,
        settings.EMAIL_HOST_PASSWORD,
        *_rings(),
        *(urlsplit(url).password for url in _urls()),
    ]
    known = {value for value in given if value and len(value) >= KNOWN_LEAST}
    return tuple(sorted(known, key=len, reverse=True))


def _rings() -> list[str]:
    names = ("ENCRYPTION_KEY", "ENCRYPTION_KEYS_OLD", "AUDIT_KEY", "AUDIT_KEYS_OLD")
    return [key.strip() for name in names for key in getattr(settings, name).split(",")]


def _urls() -> list[str]:
    return [settings.DATABASE_URL, settings.DATABASE_OWNER_URL, settings.REDIS_URL]
