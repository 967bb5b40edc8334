"""The only place that makes worker processes to be killed: one imports, and forks the rest when asked."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

# It answers each line with one: `fork words…` with a pid, `wait pid` with what that process ended with.
NURSERY = """
import os, sys
import django; django.setup()
from django.conf import settings
from django.db import connections
{prepare}
{work}
# Connections are each worker's own.
connections.close_all()
connections["default"].close_pool()
for line in sys.stdin:
    asked, *words = line.split()
    if asked == "wait":
        print(os.waitstatus_to_exitcode(os.waitpid(int(words[0]), 0)[1]), flush=True)
        continue
    pid = os.fork()
    if pid == 0:
        os.close(0)
        work(*words)
        os._exit(0)
    print(pid, flush=True)
"""


class Nursery:
    """`work` is source that defines `work(*words)`; `prepare` loads what every worker would load first."""

    def __init__(self, *, work: str, errors: Path, prepare: str = "") -> None:
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "awfdrs_site.settings",
            "DATABASE_URL": settings.DATABASE_URL,
            "REDIS_URL": settings.REDIS_URL,
            "SECRET_KEY": settings.SECRET_KEY,
            "ENCRYPTION_KEY": settings.ENCRYPTION_KEY,
            "OUTBOUND_ALLOW_CIDRS": "127.0.0.1/32",
            "DEBUG": "true",  # failpoints are refused in production
        }
        with errors.open("w") as log:
            self._nurse = subprocess.Popen(
                [sys.executable, "-c", NURSERY.format(work=work, prepare=prepare)],
                env=environment,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._alive: set[int] = set()

    def fork(self, *words: str) -> int:
        """The pid of a new process that does `work(*words)`."""
        pid = self._ask("fork", *words)
        self._alive.add(pid)
        return pid

    def wait(self, pid: int) -> int:
        """How it ended: its exit code, or minus the signal that ended it."""
        code = self._ask("wait", str(pid))
        self._alive.discard(pid)
        return code

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        self.wait(pid)

    def close(self) -> None:
        for pid in list(self._alive):
            self.kill(pid)
        self._nurse.kill()
        self._nurse.communicate()

    def _ask(self, *words: str) -> int:
        assert self._nurse.stdin is not None
        assert self._nurse.stdout is not None
        self._nurse.stdin.write(" ".join(words) + "\n")
        self._nurse.stdin.flush()
        return int(self._nurse.stdout.readline())


@contextmanager
def nursery(*, work: str, errors: Path, prepare: str = "") -> Iterator[Nursery]:
    made = Nursery(work=work, errors=errors, prepare=prepare)
    try:
        yield made
    finally:
        made.close()
