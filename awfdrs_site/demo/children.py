"""The only place that starts, watches and ends the processes of `make run`."""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

BACK_OFF_SECONDS = (1, 2, 4, 8, 15, 30)  # before starting again what died again
STEADY_SECONDS = 60  # who lived this long has not died "again"
LOOK_SECONDS = 0.1
BEGIN_SECONDS = 120  # a new process takes requests by then, on any machine
LOG_LIMIT_BYTES = 10_000_000  # an older log of a long run is moved aside, once
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Program:
    """Something to run; `is_lasting` means it is started again when it ends."""

    name: str
    arguments: tuple[str, ...]
    is_lasting: bool = True
    fds: tuple[int, ...] = ()  # what it inherits


@dataclass
class Child:
    program: Program
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    deaths: int = 0
    start_at: float = 0.0


class Children:
    """Each child leads a session of its own: a terminal's Ctrl-C reaches only us, who end them."""

    def __init__(
        self,
        *,
        environment: Mapping[str, str],
        home: Path,
        logs: Path,
        say: Callable[[str], None],
    ) -> None:
        self._environment, self._home, self._logs, self._say = environment, home, logs, say
        self._children: list[Child] = []
        logs.mkdir(parents=True, exist_ok=True)

    def log_of(self, program: Program) -> Path:
        return self._logs / f"{program.name}.log"

    def run(self, program: Program) -> "subprocess.CompletedProcess[bytes]":
        """Run a step to its end. It is not interrupted: half a migration helps nobody."""
        process = self._popen(program, output=subprocess.PIPE)
        output, _ = process.communicate()
        return subprocess.CompletedProcess(program.arguments, process.returncode, output)

    def start(self, program: Program) -> None:
        log = self.log_of(program)
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".log.old"))
        child = Child(program)
        self._children.append(child)
        self._launch(child)

    def look(self) -> None:
        """Start again whoever died, later the more often it did."""
        now = time.monotonic()
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                self._bury(child, now=now)
            elif child.process is None and child.program.is_lasting and now >= child.start_at:
                self._launch(child)

    def restart_all(self) -> None:
        """For when the database they use has moved: nothing they have under way can be stored."""
        for child in self._children:
            if child.process is not None and child.program.is_lasting:
                _signal_group(child.process, signal.SIGKILL)

    def renew(self, program: Program, *, within_seconds: float) -> bool:
        """A new process takes requests before the old one is told to end; without one the old one stays."""
        child = self._child_of(program)
        fresh = self._begin(program)
        if fresh is None:
            self._say(f"the new {program.name} does not begin: {self.log_of(program)} says why")
            return False
        old, child.process, child.started_at = child.process, fresh, time.monotonic()
        if old is not None:
            _end([old], within_seconds=within_seconds)
        return True

    def pid_of(self, program: Program) -> int | None:
        """None while it waits to be started again."""
        process = self._child_of(program).process
        return None if process is None else process.pid

    def stop(self, *, within_seconds: float) -> None:
        """Ask everybody at once, wait, and kill who is left."""
        alive = [child.process for child in self._children if child.process is not None]
        _end(alive, within_seconds=within_seconds)
        self._children.clear()

    def _child_of(self, program: Program) -> Child:
        return next(each for each in self._children if each.program == program)

    def _begin(self, program: Program) -> "subprocess.Popen[bytes] | None":
        """Started, and heard of by a pipe that it closes when it dies; None when it never said a word."""
        hears, says = os.pipe()
        told = replace(
            program,
            arguments=(*program.arguments, "--ready-fd", str(says)),
            fds=(*program.fds, says),
        )
        with self.log_of(program).open("ab") as log:
            process = self._popen(told, output=log.fileno())
        os.close(says)
        ready, _, _ = select.select([hears], [], [], BEGIN_SECONDS)
        has_begun = bool(ready) and bool(os.read(hears, 1))
        os.close(hears)
        if has_begun:
            return process
        _end([process], within_seconds=0)
        return None

    def _launch(self, child: Child) -> None:
        with self.log_of(child.program).open("ab") as log:
            child.process = self._popen(child.program, output=log.fileno())
        child.started_at = time.monotonic()

    def _bury(self, child: Child, *, now: float) -> None:
        assert child.process is not None
        _signal_group(child.process, signal.SIGKILL)  # a killed parent's workers keep its port
        how, child.process = _ending(child.process.returncode), None
        name, log = child.program.name, self.log_of(child.program)
        if not child.program.is_lasting:
            if how != "exit code 0":
                self._say(f"{name} ended with {how}: {log} says why")
            return
        child.deaths = 0 if now - child.started_at > STEADY_SECONDS else child.deaths
        wait = BACK_OFF_SECONDS[min(child.deaths, len(BACK_OFF_SECONDS) - 1)]
        child.deaths, child.start_at = child.deaths + 1, now + wait
        self._say(f"{name} ended with {how} ({log}): starting it again in {wait} s")

    def _popen(self, program: Program, *, output: int) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, *program.arguments],
            env=dict(self._environment),
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output != subprocess.PIPE else None,
            start_new_session=True,
            pass_fds=program.fds,
            preexec_fn=_end_with_parent,  # safe: we have no threads
        )


def is_alive(pid: int) -> bool:
    """Whether somebody runs under this id; a zombie does not run."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    with suppress(OSError):
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    return not Path("/proc/self").exists()


def _end_with_parent() -> None:
    """Linux only: if we are killed without a word, our children are told to end."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(processes: Sequence["subprocess.Popen[bytes]"], *, within_seconds: float) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            process.terminate()
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline and any(each.poll() is None for each in processes):
        time.sleep(LOOK_SECONDS)
    for process in processes:
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
