"""The only place that reads the fields of a payload as attributes that failures may have in common."""

import re
from collections.abc import Iterator, Mapping

from incidents.analysis.case import Attributes

FIELDS = 60  # of one payload
_DEPTH = 3
_VALUE = 100  # characters; longer texts are told by their length
_LONG = 1000
_MAX_BITS = 256
# They tell of the failure or are told apart from it; they do not cause it.
_TOLD = re.compile(
    r"(?:^|_)(?:err(?:or)?s?|exception|status|http|message|msg|reason|detail|stack|trace\w*|span|attempts?|retr(?:y|ies)"
    r"|tries|duration|latency|elapsed|took|ms|seconds|timeout|outcome|result|severity|level|log|response)(?:_|$)"
)
_APART = frozenset(
    {
        "vendor",
        "step",
        "run_id",
        "event_id",
        "correlation_id",
        "request_id",
        "idempotency_key",
        "timestamp",
        "time",
        "date",
        "occurred_at",
        "created_at",
        "updated_at",
        "started_at",
        "finished_at",
    }
)


def attributes(payload: object, extra: object = None) -> Attributes:
    """Pairs of field and value; a number also by its magnitude, a text by what is odd about it."""
    found: list[tuple[str, str]] = []
    for source in (payload, extra):
        for name, value in _leaves(source, "", _DEPTH):
            found.extend(_said(name, value))
            if len(found) >= FIELDS:
                return tuple(found[:FIELDS])
    return tuple(found)


def _leaves(value: object, path: str, depth: int) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping) and depth:
        for key, below in list(value.items())[:FIELDS]:
            name = str(key)[:_VALUE]
            if not _is_told(name):
                yield from _leaves(below, f"{path}.{name}" if path else name, depth - 1)
    elif path and isinstance(value, str | int | float):
        yield path, value


def _is_told(name: str) -> bool:
    plain = name.casefold()
    return plain in _APART or bool(_TOLD.search(plain))


def _said(name: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, bool):
        yield name, "true" if value else "false"
    elif isinstance(value, int) and value.bit_length() > _MAX_BITS:
        yield f"size of {name}", "immense"
    elif isinstance(value, int | float):
        yield name, f"{value}"
        yield f"size of {name}", _magnitude(value)
    elif isinstance(value, str):
        yield from _text(name, value)


def _text(name: str, value: str) -> Iterator[tuple[str, str]]:
    if len(value) <= _VALUE:
        yield name, value.strip() or "empty"
    yield f"length of {name}", "over 1,000 characters" if len(value) > _LONG else "ordinary"
    yield f"characters of {name}", "plain" if value.isascii() else "beyond ASCII"


def _magnitude(value: float) -> str:
    if value != value or value in (float("inf"), float("-inf")):
        return "no number"
    if value == 0:
        return "zero"
    if value < 0:
        return "below zero"
    digits = len(str(int(value))) if value < 1e18 else 19
    return "below one" if value < 1 else f"{digits} digits"
