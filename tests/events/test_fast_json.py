"""The fast reader says what the strict one says, or nothing."""

import pytest

from awfdrs_site.lib import bodies, strict_json
from events import fast_json

DIGITS = b"7" * 4300


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": [1, -0, 0.0, -0.0, 1e2, 1.50, 1e-400, 123456789.123456789, 5e-324]}',
        b'{"a": 18446744073709551616, "b": -9223372036854775809, "c": 1e22}',
        b'{"a": "x:y", "b:c": {"d": ":"}, "e": "\\"\\\\:\\n"}',
        '{"a": "é😀\u2028"}'.encode(),
        b'{"a": ' + DIGITS + b"}",
        b'{"a": 0.' + DIGITS + b"}",
        b" [null, true, false] ",
    ],
)
def test_what_it_reads_is_what_strict_reading_finds(raw: bytes) -> None:
    found = fast_json.value_of(raw, max_depth=bodies.DEPTH)
    assert repr(found) == repr(strict_json.loads(raw, max_bytes=bodies.EVENT_BYTES))


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": 1, "a": 1}',
        b'[{"a": {"b": 1, "b": 2}}]',
        b'{"a": "\\u0000"}',
        b'{"a": "\\ud800"}',
        b'{"a": ' + DIGITS + b"7}",
        b'{"a": 1e400}',
        b'{"a": NaN}',
        b"[" * 40 + b"]" * 40,
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": "\xff"}',
        b'{"a": 1} x',
        b'{"a": "\n"}',
        b"",
    ],
)
def test_what_is_refused_it_leaves_to_the_strict_reader(raw: bytes) -> None:
    assert fast_json.value_of(raw, max_depth=bodies.DEPTH) is None
    with pytest.raises(strict_json.MalformedJson):
        strict_json.loads(raw, max_bytes=bodies.EVENT_BYTES)
