"""The only place that takes a batch apart: an object or lines, packed or not, never more than the limit unpacked."""

import json
import re
import zlib
from dataclasses import dataclass

from awfdrs_site.lib import bodies, strict_json
from awfdrs_site.lib.problems import FieldError, Problem, of_body
from awfdrs_site.lib.strict_json import MalformedJson, TooLarge
from events import fast_json

MOST = 1000
_UNDER_EVENTS = 2  # {"events": [ … ]} is two levels around each item
_GZIP = 16 + zlib.MAX_WBITS

_OPENING = re.compile(r'[ \t\n\r]*\{[ \t\n\r]*"events"[ \t\n\r]*:[ \t\n\r]*\[[ \t\n\r]*')
_BETWEEN = re.compile(r"[ \t\n\r]*([,\]])[ \t\n\r]*")
_CLOSING = re.compile(r"[ \t\n\r]*\}[ \t\n\r]*")


def _unread(_text: str) -> None:
    return None


# Finds where an item ends and judges nothing in it.
_LENIENT = json.JSONDecoder(
    strict=False, parse_int=_unread, parse_float=_unread, parse_constant=_unread
)


@dataclass(frozen=True)
class Item:
    """One reported event as strict reading found it: a value, or the problem with its bytes."""

    value: object = None
    problem: Problem | None = None
    raw: bytes | None = None

    @property
    def content(self) -> bytes:
        """Its bytes as they came; out of a batch that was read whole, those of an equal value."""
        return strict_json.canonical(self.value) if self.raw is None else self.raw


def item(raw: bytes) -> Item:
    """One event by itself."""
    try:
        value = fast_json.loads(raw, max_bytes=bodies.EVENT_BYTES, max_depth=bodies.DEPTH)
    except (MalformedJson, TooLarge) as refusal:
        return Item(problem=of_body(refusal), raw=raw)
    return Item(value, raw=raw)


def unpacked(raw: bytes) -> bytes:
    """What gzip packed. Raises Problem 413 as soon as there is more than a batch holds, and 400."""
    found = b""
    try:
        while raw:
            member = zlib.decompressobj(_GZIP)
            found += member.decompress(raw, bodies.BATCH_BYTES + 1 - len(found))
            if len(found) > bodies.BATCH_BYTES or member.unconsumed_tail:
                raise of_body(TooLarge(bodies.BATCH_BYTES))
            if not member.eof:
                raise Problem("malformed_json", "The packed body ends too early.")
            raw = member.unused_data.lstrip(b"\0")  # gzip may be padded, and may go on
    except zlib.error:
        raise Problem("malformed_json", "The body is not gzip.") from None
    return found


def items(raw: bytes, *, is_lines: bool) -> list[Item]:
    """1 to MOST items. Raises Problem 400, 413 and 422 where the batch itself is none."""
    if len(raw) > bodies.BATCH_BYTES:
        raise of_body(TooLarge(bodies.BATCH_BYTES))
    return _lines(raw) if is_lines else _members(raw)


def _lines(raw: bytes) -> list[Item]:
    lines = [line for line in raw.split(b"\n") if line.strip(b" \t\r")]
    _refuse_size(len(lines))
    return [item(line) for line in lines]


def _members(raw: bytes) -> list[Item]:
    """One bad item never fails another: what is wrong inside one is looked for in each alone."""
    try:
        body = fast_json.loads(
            raw, max_bytes=bodies.BATCH_BYTES, max_depth=bodies.DEPTH + _UNDER_EVENTS
        )
    except MalformedJson as refusal:
        parts = _split(raw)
        if parts is None:
            raise of_body(refusal) from None
        _refuse_size(len(parts))
        return [item(part) for part in parts]
    values = body.get("events") if isinstance(body, dict) and body.keys() == {"events"} else None
    if not isinstance(values, list):
        raise _no_batch()
    _refuse_size(len(values))
    may_be_large = len(raw) > bodies.EVENT_BYTES
    return [_sized(Item(value)) if may_be_large else Item(value) for value in values]


def _sized(one: Item) -> Item:
    if len(one.content) <= bodies.EVENT_BYTES:
        return one
    return Item(problem=of_body(TooLarge(bodies.EVENT_BYTES)), raw=one.content)


def _split(raw: bytes) -> list[bytes] | None:
    """The bytes of each item, where the frame around them is sound."""
    try:
        text = raw.decode()
        opening = _OPENING.match(text)
        return _parts(text, opening.end()) if opening else None
    except (ValueError, RecursionError):
        return None


def _parts(text: str, at: int) -> list[bytes] | None:
    parts: list[bytes] = []
    while True:
        _, end = _LENIENT.raw_decode(text, at)
        parts.append(text[at:end].encode())
        following = _BETWEEN.match(text, end)
        if following is None:
            return None
        if len(parts) > MOST:  # however many follow
            return parts
        at = following.end()
        if following[1] == "]":
            return parts if _CLOSING.fullmatch(text, at) else None


def _refuse_size(n: int) -> None:
    if not 1 <= n <= MOST:
        raise _no_batch()


def _no_batch() -> Problem:
    detail = f'Send {{"events": [...]}} with 1 to {MOST} events and nothing else, or as many lines.'
    return Problem("validation_failed", errors=[FieldError("/events", "type", detail)])
