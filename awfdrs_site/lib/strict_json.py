"""The only place that turns foreign bytes into JSON values, and values into canonical bytes."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from math import isinf
from typing import NoReturn

POINTER_MAX_BYTES = 65_536  # naming the faulty place costs a walk; a hostile megabyte gets none

# NUL and surrogates cannot be stored as jsonb or text. Raw they are refused by the UTF-8 decoder
# and by the parser, so only escapes can carry them.
_UNSTORABLE_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_SURROGATE_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_UNSTORABLE_CHARACTER = re.compile("[\x00\ud800-\udfff]")

_AS_SQUARE = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class MalformedJson(Exception):
    """Not JSON as the contract reads it. `detail` is safe to show and to store as it is."""

    def __init__(self, detail: str, pointer: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer


class TooLarge(Exception):
    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"more than {max_bytes} bytes")
        self.max_bytes = max_bytes


def loads(raw: bytes, *, max_bytes: int, max_depth: int = 32) -> object:
    """Raises MalformedJson or TooLarge; a scalar is depth 0, `{}` is depth 1.

    Integers stay exact, other numbers are Python floats (1e-400 is 0.0, 100.00 is 100.0).
    """
    if len(raw) > max_bytes:
        raise TooLarge(max_bytes)
    text = _decoded(raw)
    if is_deeper(raw, max_depth):
        raise MalformedJson(f"The body is nested deeper than {max_depth} levels.")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise MalformedJson(f"The body is not valid JSON at {where}.") from None
    except ValueError:  # int() reads at most 4300 digits, so that its cost stays small
        raise MalformedJson("An integer has too many digits.") from None
    if _UNSTORABLE_ESCAPE.search(raw):
        _refuse_unstorable(raw, value)
    return value


def is_deeper(raw: bytes, max_depth: int) -> bool:
    """Before parsing, because the parser recurses; linear, with no Python work per byte.

    Each pass removes the innermost pairs, so `max_depth` passes empty what is allowed. What is
    left without a pair does not balance: the parser says where, and cannot go deeper than it.
    """
    if raw.count(b"[") + raw.count(b"{") <= max_depth:
        return False
    brackets = _outside_strings(raw).translate(_AS_SQUARE, _NOT_BRACKETS)
    for _ in range(max_depth):
        if b"[]" not in brackets:
            break
        brackets = brackets.replace(b"[]", b"")
    return b"[]" in brackets or brackets.count(b"[") > max_depth


def canonical(value: object) -> bytes:
    """Sorted keys, no white space, UTF-8: equal bytes mean equal content.

    Numbers are compared as parsed: 100.0, 100.00 and 1e2 are one number; 100 is an integer and
    another one, as is -0.0 beside 0.0. `value` must come from `loads`, which bounds its depth.
    """
    return _ENCODER.encode(value).encode()


def escape_token(token: str) -> str:
    """One reference token of a JSON pointer (RFC 6901)."""
    return token.replace("~", "~0").replace("/", "~1")


def printable(text: str, *, limit: int = 80) -> str:
    """`text` cut and freed of what neither an answer nor Postgres could carry."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return _UNSTORABLE_CHARACTER.sub("\N{REPLACEMENT CHARACTER}", cut)


def _decoded(raw: bytes) -> str:
    if not raw:
        raise MalformedJson("The body is empty.")
    if raw.startswith(b"\xef\xbb\xbf"):
        raise MalformedJson("The body starts with a byte order mark.")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedJson(f"The body is not UTF-8 at byte {error.start}.") from None


def _outside_strings(raw: bytes) -> bytes:
    # A backslash is legal only inside a string. Where it is not, the parser stops there, and up
    # to there this agrees with it; nothing deeper is ever parsed.
    without_escaped_quotes = raw.replace(rb"\\", b"").replace(rb"\"", b"")
    return b"".join(without_escaped_quotes.split(b'"')[::2])


def _refuse_unstorable(raw: bytes, value: object) -> None:
    escapes = raw.replace(rb"\\", b"__")  # an escaped backslash before a plain "u0000"
    if not _UNSTORABLE_ESCAPE.search(_SURROGATE_PAIR.sub(b"", escapes)):
        return
    pointer = next(_unstorable_places(value), None) if len(raw) <= POINTER_MAX_BYTES else None
    raise MalformedJson("A text holds a NUL or half a surrogate pair.", pointer)


def _unstorable_places(value: object) -> Iterator[str]:
    """A faulty key is named by its object: the pointer itself must stay printable."""
    waiting: list[tuple[str, object]] = [("", value)]
    while waiting:
        pointer, item = waiting.pop()
        if isinstance(item, str) and _UNSTORABLE_CHARACTER.search(item):
            yield pointer
        elif isinstance(item, list):
            waiting.extend((f"{pointer}/{index}", child) for index, child in enumerate(item))
        elif isinstance(item, dict):
            if any(map(_UNSTORABLE_CHARACTER.search, item)):
                yield pointer
            waiting.extend((f"{pointer}/{escape_token(key)}", item[key]) for key in item)


def _object_without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise MalformedJson(f'The key "{printable(twice)}" appears twice in one object.')
    return members


def _finite(digits: str) -> float:
    number = float(digits)
    if isinf(number):
        raise MalformedJson("A number is too large for a finite value.")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedJson(f"{name} is not a JSON number.")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object_without_duplicates,
    parse_float=_finite,
    parse_constant=_refuse_constant,
)
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"), check_circular=False
)
