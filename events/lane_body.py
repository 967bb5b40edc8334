"""The only second reader of an event's bytes: the fast one, which never says more than the strict one."""

import msgspec

from awfdrs_site.lib import bodies, strict_json
from awfdrs_site.lib.strict_json import MalformedJson, TooLarge

# Below the digits that an integer may have, so that the strict reader could not refuse one.
FAST_BYTES = 4096

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def read(raw: bytes) -> dict[str, object] | None:
    """The object that strict reading finds too; None is for the strict reader to judge, and to refuse."""
    try:
        value = _fast(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if value is None:
        value = _strictly(raw)
    return value if isinstance(value, dict) else None


def _fast(raw: bytes) -> object:
    """None where this decoder might see more than the contract allows."""
    if len(raw) > FAST_BYTES or b"\\u" in raw:  # NUL and half pairs come as escapes only
        return None
    if raw.count(b"{") + raw.count(b"[") > bodies.DEPTH:
        return None
    value: object = _decode(raw)
    # It keeps the last of two equal keys. Without \u escapes a colon is only ever written as one: if as many are
    # left in what it kept, no member was dropped.
    return value if _encode(value).count(b":") == raw.count(b":") else None


def _strictly(raw: bytes) -> object:
    try:
        return strict_json.loads(raw, max_bytes=bodies.EVENT_BYTES, max_depth=bodies.DEPTH)
    except (MalformedJson, TooLarge):
        return None
