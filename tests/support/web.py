"""The only place where tests and measurements get web processes of their own, as `up` starts them."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from awfdrs_site.web import KEPT_SECONDS
from awfdrs_site.wheels import machine

READY_SECONDS = 180  # on a machine that is busy with other tests


@dataclass(frozen=True)
class Web:
    """Where it answers, and the process that a signal reaches; with workers, their parent."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http://{machine.LOOPBACK}:{self.port}"

    def workers(self) -> list[int]:
        """The processes that answer, when there are several."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"spawn_main" in _command_of(pid)]


@contextmanager
def served(
    *,
    is_lane: bool = True,
    workers: int = 1,
    application: str = "awfdrs_site.asgi:application",
    port: int = 0,
) -> Iterator[Web]:
    """One on the tests' servers and database; ended when the block is. Port 0 is any that is free."""
    port = port or machine.free_port()
    options = ["--port", str(port), "--workers", str(workers), "--no-access-log"]
    options += ["--log-level", "warning", "--timeout-keep-alive", str(KEPT_SECONDS)]
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", application, *options, "--no-proxy-headers"],
        env=environment(is_lane=is_lane),
    )
    web = Web(port, process.pid)
    try:
        _wait(web)
        yield web
    finally:
        process.terminate()
        process.wait()


def environment(*, is_lane: bool = True) -> dict[str, str]:
    """Of a process of the product beside the tests, on their servers."""
    kept = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ENCRYPTION_KEY", "AUDIT_KEY")
    return (
        os.environ
        | {name: getattr(settings, name) for name in kept}
        | {
            "DJANGO_SETTINGS_MODULE": "awfdrs_site.settings",
            "PLAIN_HTTP": "true",
            "ALLOWED_HOSTS": machine.LOOPBACK,
            "INGEST_LANE": str(is_lane),
            "LOG_LEVEL": "ERROR",
        }
    )


def _wait(web: Web) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{web.url}/api/v1/health", timeout=2):  # noqa: S310
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the web process does not answer")


def _command_of(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
