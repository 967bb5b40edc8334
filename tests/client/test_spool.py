"""Events on disk: kept when `append` returns, handed over in order, bounded, whole after a crash."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from awfdrs_site.client.spool import Spool, SpoolFull
from tests.threads import at_once


def drained(spool: Spool) -> list[int]:
    found: list[int] = []
    spool.drain(lambda events: found.extend(event["n"] for event in events) or len(events))  # type: ignore[func-returns-value]
    return found


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", segment_bytes=100)  # a few lines each


def test_it_hands_over_in_order_across_segments_and_leaves_nothing(spool: Spool) -> None:
    for n in range(10):
        spool.append({"n": n})
    assert len(list(spool.directory.glob("*.segment"))) > 1
    assert spool.count() == 10
    assert drained(spool) == list(range(10))
    assert spool.is_empty
    # a number that was used is not used again: draining stands at its end
    spool.append({"n": 10})
    assert drained(spool) == [10]


def test_what_was_not_done_is_handed_over_again_and_what_was_is_not(spool: Spool) -> None:
    for n in range(5):
        spool.append({"n": n})
    answers = iter([2, 0])
    assert spool.drain(lambda events: next(answers)) == 2
    assert spool.count() == 3
    with pytest.raises(ConnectionError):
        spool.drain(unreachable)
    assert drained(Spool(spool.directory)) == [2, 3, 4]


def unreachable(events: list[dict[str, Any]]) -> int:
    raise ConnectionError


def test_where_draining_stood_may_be_lost_and_no_event_is(spool: Spool) -> None:
    for n in range(3):
        spool.append({"n": n})
    answers = iter([1, 0])
    spool.drain(lambda events: next(answers))
    (spool.directory / "position").unlink()
    assert drained(spool) == [0, 1, 2]


@pytest.mark.parametrize("noted", [b"1 7", b"1 9999", b"1 -3", b"9 99", b"\xff\x00", b""])
def test_where_draining_stood_may_be_damaged_and_no_event_is_lost(
    spool: Spool, noted: bytes
) -> None:
    for n in range(3):
        spool.append({"n": n})
    (spool.directory / "position").write_bytes(noted)
    assert spool.count() == 3
    assert drained(spool) == [0, 1, 2]


def test_files_of_others_in_its_directory_are_let_be(spool: Spool) -> None:
    spool.append({"n": 0})
    (spool.directory / "old.segment").write_text("mine")
    assert drained(spool) == [0]
    assert spool.is_empty


def test_a_full_disk_is_told_and_damages_nothing(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.append({"n": 0})
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", no_room)
        with pytest.raises(SpoolFull, match="disk"):
            spool.append({"n": 1})
    spool.append({"n": 2})
    assert drained(spool) == [0, 2]


def no_room(_: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_does_not_hold_up_draining_which_makes_room(spool: Spool) -> None:
    for n in range(10):
        spool.append({"n": n})
    (spool.directory / "position.new").mkdir()  # so where it stands cannot be noted
    found: list[int] = []
    spool.drain(lambda events: found.append(events[0]["n"]) or 1)  # type: ignore[func-returns-value]
    assert found == list(range(10))
    assert spool.is_empty


def test_a_process_that_was_forked_meanwhile_locks_nobody_out(spool: Spool) -> None:
    spool.append({"n": 0})
    until_told, tell = os.pipe()
    child = 0

    def fork(events: list[dict[str, Any]]) -> int:
        nonlocal child
        child = os.fork()
        if child == 0:  # it holds every file open that was open here
            os.close(tell)
            os.read(until_told, 1)
            os._exit(0)
        return len(events)

    try:
        spool.drain(fork)
        spool.append({"n": 1})
        assert drained(spool) == [1]
    finally:
        os.close(tell)
        os.close(until_told)
        os.waitpid(child, 0)


def test_without_a_place_on_disk_nothing_waits_and_nothing_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    spool = Spool(tmp_path / "file" / "spool")
    assert spool.is_empty
    with pytest.raises(OSError, match="file"):
        spool.append({"n": 0})
    with pytest.raises(OSError, match="file"):
        spool.check()


def test_a_line_torn_by_a_crash_is_cut_off_and_those_before_it_are_whole(spool: Spool) -> None:
    spool.append({"n": 0})
    segment = next(spool.directory.glob("*.segment"))
    with segment.open("ab") as file:
        file.write(b'12345678 {"n": 1')
    spool.append({"n": 2})
    assert drained(spool) == [0, 2]
    # also when nobody appends any more
    spool.append({"n": 3})
    with next(spool.directory.glob("*.segment")).open("ab") as file:
        file.write(b"12")
    assert drained(spool) == [3]
    assert spool.is_empty


def test_a_damaged_line_is_put_aside_and_holds_up_nobody(spool: Spool) -> None:
    for n in range(3):
        spool.append({"n": n})
    segment = sorted(spool.directory.glob("*.segment"))[0]
    segment.write_bytes(segment.read_bytes().replace(b'{"n":1}', b'{"n":7}'))
    assert drained(spool) == [0, 2]
    assert "damaged_line" in spool.refused_path.read_text()


def test_a_full_spool_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    spool = Spool(tmp_path, most_bytes=40)
    spool.append({"n": 0})
    spool.append({"n": 1})
    with pytest.raises(SpoolFull):
        spool.append({"n": 2})
    assert drained(spool) == [0, 1]
    spool.append({"n": 3})  # there is room again


def test_many_append_while_one_drains_and_each_event_is_handed_over_once(spool: Spool) -> None:
    found: list[int] = []

    def work(thread: int) -> None:
        if thread < 3:
            for n in range(20):
                spool.append({"n": thread * 20 + n})
        else:
            for _ in range(20):
                found.extend(drained(spool))

    at_once(5, work)
    found.extend(drained(spool))
    assert sorted(found) == list(range(60))


def test_others_on_this_machine_cannot_read_what_waits(spool: Spool) -> None:
    spool.append({"n": 0})
    assert spool.directory.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in spool.directory.glob("*.segment"))


APPENDS = """
import sys
from pathlib import Path
from awfdrs_site.client.spool import Spool
spool = Spool(Path(sys.argv[1]), segment_bytes=100)
n = 0
while True:
    spool.append({"n": n})
    print(n, flush=True)
    n += 1
"""


def test_every_event_that_was_acknowledged_outlives_a_killed_process(spool: Spool) -> None:
    command = [sys.executable, "-c", APPENDS, str(spool.directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in process.stdout.read().split()]
    found = drained(spool)
    assert found[: len(acknowledged)] == acknowledged
    assert len(found) - len(acknowledged) <= 1  # written, and killed before it could say so
