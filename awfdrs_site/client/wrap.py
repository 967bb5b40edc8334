"""The verb `run` of the command: runs another command and reports how it starts and how it ends."""

import argparse
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from pathlib import PurePath
from typing import IO, Any

from .client import Client
from .http import Denied, Refused
from .saying import USAGE, Say
from .spool import SpoolFull

LINES = 20
LINE_LENGTH = 500
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as a shell says it
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run(options: argparse.Namespace, client: Client, say: Say) -> int:
    """Ends with the command's own number, whatever becomes of the reports."""
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        return say.failed(
            USAGE, "Say the command after --: awfdrs run --workflow nightly -- ./job.sh"
        )
    report = Report(options, client, say, name=PurePath(command[0]).name)
    report.send("started", {})
    began = time.monotonic()
    code, last_lines = _run(command, say)
    took = {"duration_seconds": round(time.monotonic() - began, 3), "exit_code": code}
    if code == 0:
        report.send("completed", took)
    else:
        said = {} if options.no_stderr else {"stderr": last_lines}
        report.send("failed", {**took, **_error(code, last_lines, options), **said})
    return code


class Report:
    """The events of one run."""

    def __init__(self, options: argparse.Namespace, client: Client, say: Say, *, name: str) -> None:
        self._options, self._client, self._say, self._name = options, client, say, name
        self._run_id = options.run_id or str(uuid.uuid4())

    def send(self, what: str, payload: dict[str, Any]) -> None:
        """A report that fails is said and nothing else: the command's work is not undone by it."""
        try:
            self._client.send(
                f"{self._options.event}.{what}",
                {"command": self._name, **payload},  # never its arguments: they may be secrets
                workflow=self._options.workflow,
                run_id=self._run_id,
            )
        except (Refused, Denied, SpoolFull, OSError) as error:
            self._say.note(f"{self._options.event}.{what} was not reported: {error}")


def _run(command: list[str], say: Say) -> tuple[int, list[str]]:
    try:
        child = subprocess.Popen(command, stderr=subprocess.PIPE)
    except OSError as error:
        say.note(f"{command[0]}: {error.strerror}")
        is_missing = isinstance(error, FileNotFoundError)
        return NOT_FOUND if is_missing else NOT_EXECUTABLE, [f"{error.strerror}"]
    before = {
        number: signal.signal(number, lambda n, _: child.send_signal(n)) for number in PASSED_ON
    }
    kept: deque[str] = deque(maxlen=LINES)
    assert child.stderr is not None
    reader = threading.Thread(target=_pass_on, args=(child.stderr, kept), daemon=True)
    reader.start()
    try:
        code = child.wait()
        # A grandchild may keep the pipe open for ever.
        reader.join(2)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return (code if code >= 0 else 128 - code), list(kept)


def _pass_on(stream: IO[bytes], kept: deque[str]) -> None:
    for line in iter(lambda: stream.readline(64 * 1024), b""):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
        text = line.decode(errors="replace").replace("\x00", "").rstrip()
        if text:
            kept.append(text[:LINE_LENGTH])


def _error(code: int, last_lines: list[str], options: argparse.Namespace) -> dict[str, str]:
    """`exit_3`, or the signal that ended it; the last line says most."""
    name = f"exit_{code}"
    if code > 128 and code - 128 in {number.value for number in signal.Signals}:
        name = signal.Signals(code - 128).name.lower()
    last = last_lines[-1] if last_lines and not options.no_stderr else f"It ended with {code}."
    return {"error_code": name, "error_message": last}
