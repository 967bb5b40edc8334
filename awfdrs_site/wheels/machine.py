"""The only place where the embedded servers touch files, ports, programs and accounts."""

import fcntl
import importlib.util
import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
Finished = subprocess.CompletedProcess[str]


class EmbeddedError(RuntimeError):
    """The servers cannot be had; the message says why."""


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int


@contextmanager
def locked(data_dir: Path, name: str) -> Iterator[None]:
    """One process at a time; the kernel lets go of the lock of one that was killed."""
    with (data_dir / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def read_values(path: Path) -> dict[str, str]:
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return {}


def write_private(path: Path, text: str) -> None:
    """Replace the file whole, readable by its owner alone from its first byte."""
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(partial).replace(path)


def free_port() -> int:
    """Free when we looked; whoever binds it must be ready to ask again."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def wheel(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise EmbeddedError(
            f"{name} is not installed: install requirements-dev.txt, "
            "or set DATABASE_URL and REDIS_URL to servers of your own."
        )
    return Path(found.origin).parent


def run_as(
    account: Account | None,
    *command: str,
    text: str = "",
    environment: dict[str, str] | None = None,
) -> Finished:
    """Run with a bare environment, so that no PG* variable of the caller's leads us elsewhere."""
    try:
        return subprocess.run(
            command,
            input=text,
            env={"PATH": os.defpath, "LC_ALL": "C"} | (environment or {}),
            cwd="/",
            capture_output=True,
            text=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except PermissionError as error:  # the account may not even see the program
        return Finished(command, 126, "", str(error))
