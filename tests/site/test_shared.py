"""Reads that requests share: never older than what was asked for, one at a time, and each owner's apart."""

import threading
import time
from collections.abc import Callable, Collection

import pytest

from awfdrs_site.lib import shared
from awfdrs_site.lib.shared import Shared
from tests.threads import PATIENCE_SECONDS

Read = Callable[[Collection[str]], dict[str, int]]


def counting(asked: list[list[str]]) -> Read:
    """What each read finds is the number of reads so far."""

    def read(keys: Collection[str]) -> dict[str, int]:
        asked.append(sorted(keys))
        return {key: len(asked) for key in keys if key != "gone"}

    return read


def test_a_read_serves_whoever_needs_no_later_one() -> None:
    asked: list[list[str]] = []
    reads: Shared[str, int] = Shared()
    before = time.monotonic()
    assert reads.get("acme", ["a", "gone"], since=before, read=counting(asked)) == {"a": 1}
    assert reads.get("acme", ["a", "gone"], since=before, read=counting(asked)) == {"a": 1}
    assert asked == [["a", "gone"]]


def test_what_happened_after_a_read_began_is_read_anew() -> None:
    asked: list[list[str]] = []
    reads: Shared[str, int] = Shared()
    reads.get("acme", ["a"], since=time.monotonic(), read=counting(asked))
    assert reads.get("acme", ["a"], since=time.monotonic(), read=counting(asked)) == {"a": 2}


def test_only_what_nobody_has_read_is_asked_for() -> None:
    asked: list[list[str]] = []
    reads: Shared[str, int] = Shared()
    before = time.monotonic()
    reads.get("acme", ["a"], since=before, read=counting(asked))
    assert reads.get("acme", ["a", "b"], since=before, read=counting(asked)) == {"a": 1, "b": 2}
    assert asked == [["a"], ["b"]]


def test_owners_share_nothing() -> None:
    asked: list[list[str]] = []
    reads: Shared[str, int] = Shared()
    before = time.monotonic()
    reads.get("acme", ["a"], since=before, read=counting(asked))
    assert reads.get("globex", ["a"], since=before, read=counting(asked)) == {"a": 2}


def test_a_read_that_broke_leaves_nothing_behind() -> None:
    asked: list[list[str]] = []
    reads: Shared[str, int] = Shared()
    before = time.monotonic()

    def breaks(_keys: Collection[str]) -> dict[str, int]:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        reads.get("acme", ["a"], since=before, read=breaks)
    assert reads.get("acme", ["a"], since=before, read=counting(asked)) == {"a": 1}


def test_those_who_come_while_one_reads_wait_and_take_what_it_found() -> None:
    asked: list[list[str]] = []
    reads: Shared[str, int] = Shared()
    began, go_on = threading.Event(), threading.Event()
    before = time.monotonic()
    found: list[dict[str, int]] = []

    def slow(keys: Collection[str]) -> dict[str, int]:
        began.set()
        go_on.wait(PATIENCE_SECONDS)
        return counting(asked)(keys)

    def ask() -> None:
        found.append(reads.get("acme", ["a"], since=before, read=slow))

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert began.wait(PATIENCE_SECONDS)
    go_on.set()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert found == [{"a": 1}] * 5
    assert asked == [["a"]]


def test_nothing_is_kept_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "KEPT_SECONDS", 0.0)
    reads: Shared[str, int] = Shared()
    asked: list[list[str]] = []
    for owner in ("acme", "globex"):
        reads.get(owner, ["a"], since=0.0, read=counting(asked))
    reads.get("globex", ["b"], since=0.0, read=counting(asked))
    assert list(reads._shelves) == ["globex"]
    assert list(reads._shelves["globex"].kept) == ["b"]
