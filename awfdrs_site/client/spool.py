"""The only place that keeps events on disk while AWFDRS is away: append-only segments, oldest first.

A line is `crc32 json`. It counts once it is whole and synced; a torn last line was never
acknowledged to anybody and is cut off. Several processes may share a directory: whoever appends
holds one lock, whoever drains another. Where draining stands is a hint: when it is lost, what was
sent is sent again under the same idempotency keys, and AWFDRS knows it.
"""

import errno
import fcntl
import json
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

SEGMENT_BYTES = 1024 * 1024
MOST_BYTES = 256 * 1024 * 1024
BATCH_LINES = 200
BATCH_BYTES = 4 * 1024 * 1024  # a batch may have 5 MiB
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NAMES = "[0-9]" * 12 + ".segment"

Event = dict[str, Any]
Place = tuple[int, int]  # a segment, and how many bytes of it are done with


class SpoolFull(Exception):
    """There is no room for another event. It was not kept; the caller decides."""


@dataclass(frozen=True)
class Waiting:
    """Events from one segment, with where to go on after each of them."""

    events: list[Event]
    ends: list[int]  # as many as there are events
    damaged: str  # a line that cannot be read, when nothing stands before it
    end: int


class Spool:
    def __init__(
        self,
        directory: Path,
        *,
        most_bytes: int = MOST_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self.directory = directory
        self._most_bytes, self._segment_bytes = most_bytes, segment_bytes

    @property
    def refused_path(self) -> Path:
        return self.directory / "refused.ndjson"

    @property
    def is_empty(self) -> bool:
        """Also where nothing can be read: whoever has no disk for it may send all the same."""
        try:
            return not self._segments()
        except OSError:
            return True

    def check(self) -> None:
        """Raises OSError where nothing could be kept."""
        with self._locked("append"):
            return

    def count(self) -> int:
        """How many events wait."""
        total, at = 0, self._position()
        for number in self._segments():
            with suppress(FileNotFoundError), self._path(number).open("rb") as file:
                file.seek(_begin(file, number, at))
                total += file.read().count(b"\n")
        return total

    def append(self, event: Event) -> None:
        """Keep it: on disk when this returns. Raises SpoolFull."""
        text = json.dumps(event, separators=(",", ":"), allow_nan=False)
        line = b"%08x %s\n" % (zlib.crc32(text.encode()), text.encode())
        try:
            self._add(line)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            raise SpoolFull(f"The disk of {self.directory} is full.") from error

    def _add(self, line: bytes) -> None:
        with self._locked("append"):
            numbers = self._segments()
            used = sum(self._path(number).stat().st_size for number in numbers)
            if used + len(line) > self._most_bytes:
                raise SpoolFull(f"{self.directory} is full: {used} bytes wait for AWFDRS.")
            number = self._segment_for(numbers)
            self._write(self._path(number), line, is_new=number not in numbers)

    def drain(self, send: Callable[[list[Event]], int]) -> int | None:
        """Hand over what waits, in order, until nothing is left or `send` is done with none of it.

        `send` returns how many of the events, from the first, are done with; what it raises ends
        the draining. Returns how many that were, None when somebody else is draining.
        """
        total = 0
        with self._locked("drain", wait=False) as is_mine:
            if not is_mine:
                return None
            at = self._position()
            while (number := next(iter(self._segments()), None)) is not None:
                waiting = self._read(number, at)
                done = send(waiting.events) if waiting.events else 0
                total += done
                if done:
                    at = self._move(number, waiting.ends[done - 1])
                elif waiting.events:
                    break
                else:
                    at = self._pass(number, waiting)
        return total

    def _pass(self, number: int, waiting: Waiting) -> Place:
        """What follows is a damaged line, or the end of this segment."""
        if waiting.damaged:
            self.refuse({"damaged": waiting.damaged}, {"code": "damaged_line"})
            return self._move(number, waiting.end)
        self._remove(number, waiting.end)
        return number, waiting.end

    def refuse(self, event: Event, problem: dict[str, Any]) -> None:
        """Put it aside with the reason; `awfdrs replay` reads this file."""
        line = json.dumps({"event": event, "problem": problem}).encode() + b"\n"
        with self._locked("append"):
            path = self.refused_path
            if path.exists() and path.stat().st_size + len(line) > self._most_bytes:
                path.replace(path.with_suffix(".old.ndjson"))
            self._write(path, line, is_new=not path.exists())

    def _read(self, number: int, at: Place) -> Waiting:
        """The next lines of this segment; a line still being written is not there yet."""
        events: list[Event] = []
        ends: list[int] = []
        with self._path(number).open("rb") as file:
            begin = position = _begin(file, number, at)
            file.seek(begin)
            for line in file:
                is_large = bool(events) and position + len(line) - begin > BATCH_BYTES
                if len(events) == BATCH_LINES or is_large or not line.endswith(b"\n"):
                    break
                event = _event_of(line)
                if event is None:
                    if events:
                        break  # first what stands before it
                    damaged = line.decode(errors="replace")
                    return Waiting([], [], damaged, position + len(line))
                position += len(line)
                events.append(event)
                ends.append(position)
        return Waiting(events, ends, "", position)

    def _remove(self, number: int, end: int) -> None:
        """The segment goes when all of it was handed over and nothing was appended meanwhile."""
        with self._locked("append"):
            path = self._path(number)
            self._cut_torn_line(path)
            if path.stat().st_size <= end:
                path.unlink()
                self._sync_directory()

    def _segment_for(self, numbers: list[int]) -> int:
        if numbers and self._path(numbers[-1]).stat().st_size < self._segment_bytes:
            return numbers[-1]
        # Above where draining stands too: a number used again would be skipped to that offset.
        return max([*numbers, self._position()[0]]) + 1

    def _write(self, path: Path, line: bytes, *, is_new: bool) -> None:
        if not is_new:
            self._cut_torn_line(path)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            before = os.fstat(file).st_size
            try:
                _write_all(file, line)
                os.fsync(file)
            except OSError:
                os.ftruncate(file, before)  # a full disk: half a line is nobody's event
                raise
        finally:
            os.close(file)
        if is_new:
            self._sync_directory()

    @staticmethod
    def _cut_torn_line(path: Path) -> None:
        """Whoever wrote it died before it was acknowledged."""
        with path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            if size == 0:
                return
            file.seek(size - 1)
            if file.read(1) == b"\n":
                return
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            os.fsync(file.fileno())

    def _position(self) -> Place:
        try:
            number, offset = (self.directory / "position").read_text().split()
            return int(number), int(offset)
        except (FileNotFoundError, ValueError):
            return 0, 0

    def _move(self, number: int, offset: int) -> Place:
        """Kept where that works: on a full disk it is draining that makes room again."""
        fresh = self.directory / "position.new"
        with suppress(OSError):
            with fresh.open("w") as file:
                file.write(f"{number} {offset}")
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.directory / "position")
        return number, offset

    def _segments(self) -> list[int]:
        return sorted(int(path.stem) for path in self.directory.glob(_NAMES))

    def _path(self, number: int) -> Path:
        return self.directory / f"{number:012d}.segment"

    def _sync_directory(self) -> None:
        directory = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    @contextmanager
    def _locked(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """A lock of its own for every caller: it keeps threads out as well as processes."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(self.directory / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            # A process that was forked meanwhile has this file open too: closing ours would not unlock it.
            fcntl.flock(file, fcntl.LOCK_UN)
            os.close(file)


def _begin(file: IO[bytes], number: int, at: Place) -> int:
    """Where to go on in this segment: from its start where what was noted is not the end of a line."""
    current, offset = at
    if number != current or not 0 < offset <= file.seek(0, os.SEEK_END):
        return 0
    file.seek(offset - 1)
    return offset if file.read(1) == b"\n" else 0


def _write_all(file: int, line: bytes) -> None:
    while line:
        line = line[os.write(file, line) :]


def _event_of(line: bytes) -> Event | None:
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    try:
        if int(checksum, 16) != zlib.crc32(text):
            return None
        event = json.loads(text)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
