"""How a batch is taken apart: whole, by lines, packed, and where one of its items is broken."""

import gzip
import json
import zlib

import pytest

from awfdrs_site.lib import bodies
from awfdrs_site.lib.problems import Problem
from events import batches


def codes(raw: bytes, *, is_lines: bool = False) -> list[str]:
    found = batches.items(raw, is_lines=is_lines)
    return [one.problem.code if one.problem else "" for one in found]


def refused(raw: bytes, *, is_lines: bool = False) -> str:
    with pytest.raises(Problem) as refusal:
        batches.items(raw, is_lines=is_lines)
    return refusal.value.code


@pytest.mark.parametrize(
    "bad",
    [
        b'{"a":"\\u0000"}',
        b'{"a":"\\ud800"}',
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b'{"a":1e400}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"a":"\x01"}',
    ],
)
def test_one_broken_item_never_fails_another(bad: bytes) -> None:
    raw = b'{"events": [{"n":1},' + bad + b' , {"n":"[,]}"}]}\n'
    found = batches.items(raw, is_lines=False)
    # G3: every item has a verdict
    assert [one.problem.code if one.problem else "" for one in found] == ["", "malformed_json", ""]
    # what is kept of it are its own bytes
    assert found[1].content == bad
    assert found[2].value == {"n": "[,]}"}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b'{"events":[{}',
        b'{"events":[{}]',
        b'{"events":[{},]}',
        b'{"events":[{} {}]}',
        b'{"events":[{"a":1,"a":2}],"more":1}',
        b'{"events":[\xff]}',
        b'{"events":[' + b"[" * 100_000 + b"]}",
        b'[{"a":1,"a":2}]',
    ],
)
def test_a_broken_frame_is_no_batch(raw: bytes) -> None:
    assert refused(raw) == "malformed_json"


@pytest.mark.parametrize("n", [0, 1001])
def test_a_batch_has_1_to_1000_items(n: int) -> None:
    assert refused(json.dumps({"events": [{}] * n}).encode()) == "validation_failed"
    assert refused(b"{}\n" * n, is_lines=True) == "validation_failed"
    broken = json.dumps({"events": [{}] * (n - 1)})[:-2] + ',{"a":1,"a":2}]}'
    if n > 1:
        assert refused(broken.encode()) == "validation_failed"


def test_lines_are_items_and_empty_ones_are_none() -> None:
    assert codes(b'{"a":1}\r\n\n \n{"a":\n{"a":2}', is_lines=True) == ["", "malformed_json", ""]


def test_an_item_of_more_than_a_mebibyte_is_too_large_and_the_others_are_not() -> None:
    large = json.dumps({"m": "a" * bodies.EVENT_BYTES})
    raw = f'{{"events":[{{}},{large}]}}'.encode()
    assert codes(raw) == ["", "too_large"]
    assert codes(f"{{}}\n{large}\n".encode(), is_lines=True) == ["", "too_large"]


def test_what_gzip_packed_is_the_same_batch() -> None:
    raw = b'{"events":[{}]}'
    assert batches.unpacked(gzip.compress(raw)) == raw
    # several members are one body, and padding is none of it
    assert batches.unpacked(gzip.compress(raw[:5]) + gzip.compress(raw[5:]) + b"\0\0") == raw


def test_a_bomb_is_given_up_at_the_limit() -> None:
    bomb = gzip.compress(b"0" * (bodies.BATCH_BYTES * 20))
    assert len(bomb) < 200_000
    seen: list[int] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(batches, "zlib", _Watching(seen))
        with pytest.raises(Problem) as refusal:
            batches.unpacked(bomb)
    assert refusal.value.code == "too_large"
    # never more in memory than a batch may hold
    assert sum(seen) <= bodies.BATCH_BYTES + 1


@pytest.mark.parametrize(
    "raw",
    [b"no gzip", gzip.compress(b"{}")[:-5], gzip.compress(b"{}") + b"x"],
    ids=["another format", "cut off", "more behind it"],
)
def test_what_is_no_whole_gzip_is_refused(raw: bytes) -> None:
    with pytest.raises(Problem) as refusal:
        batches.unpacked(raw)
    assert refusal.value.code == "malformed_json"


class _Watching:
    """zlib, with a note of how much each call gave back."""

    error, MAX_WBITS = zlib.error, zlib.MAX_WBITS

    def __init__(self, seen: list[int]) -> None:
        self.seen = seen

    def decompressobj(self, wbits: int) -> "_Member":
        return _Member(zlib.decompressobj(wbits), self.seen)


class _Member:
    def __init__(self, inner: "zlib._Decompress", seen: list[int]) -> None:
        self.inner, self.seen = inner, seen

    def decompress(self, raw: bytes, most: int) -> bytes:
        found = self.inner.decompress(raw, most)
        self.seen.append(len(found))
        return found

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)
