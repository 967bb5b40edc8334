"""The only second reader of events' bytes: the fast one, which never says more than the strict one."""

import msgspec

from awfdrs_site.lib import bodies, strict_json
from awfdrs_site.lib.strict_json import MalformedJson, TooLarge

# The strict reader refuses an integer of so many digits.
_TOO_LONG = b"0" * 4301
_AS_ZEROS = bytes.maketrans(b"123456789", b"000000000")

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def value_of(raw: bytes, *, max_depth: int) -> object:
    """What strict reading finds too; None where this decoder might see more than the contract allows."""
    # NUL and half pairs come as escapes only.
    if b"\\u" in raw or strict_json.is_deeper(raw, max_depth):
        return None
    if len(raw) > len(_TOO_LONG) and _TOO_LONG in raw.translate(_AS_ZEROS):
        return None
    try:
        value: object = _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    # It keeps the last of two equal keys. Without \u escapes a colon is only ever written as one: if as many are
    # left in what it kept, no member was dropped.
    return value if _encode(value).count(b":") == raw.count(b":") else None


def loads(raw: bytes, *, max_bytes: int, max_depth: int) -> object:
    """As `strict_json.loads`, by the fast reader where it may. Raises as it does."""
    value = value_of(raw, max_depth=max_depth) if len(raw) <= max_bytes else None
    if value is not None:
        return value
    return strict_json.loads(raw, max_bytes=max_bytes, max_depth=max_depth)


def event_of(raw: bytes) -> dict[str, object] | None:
    """The object that strict reading finds too; None is for the strict reader to refuse."""
    try:
        value = loads(raw, max_bytes=bodies.EVENT_BYTES, max_depth=bodies.DEPTH)
    except (MalformedJson, TooLarge):
        return None
    return value if isinstance(value, dict) else None
