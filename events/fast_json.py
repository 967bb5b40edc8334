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
    if b"\\u" in raw or strict_json.is_deeper(
        raw, max_depth
    ):  # NUL and half pairs come as escapes only
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


def event_of(raw: bytes) -> dict[str, object] | None:
    """The object that strict reading finds too; None is for the strict reader to judge, and to refuse."""
    value = value_of(raw, max_depth=bodies.DEPTH)
    if value is None:
        value = _strictly(raw)
    return value if isinstance(value, dict) else None


def _strictly(raw: bytes) -> object:
    try:
        return strict_json.loads(raw, max_bytes=bodies.EVENT_BYTES, max_depth=bodies.DEPTH)
    except (MalformedJson, TooLarge):
        return None
