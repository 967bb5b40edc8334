"""The only place that has a Postgres and a Valkey running on a machine with nothing but Python.

Settings import this module, so it knows no Django: only the standard library and two wheels.
"""

import argparse
import base64
import dataclasses
import json
import shutil
import sys
from pathlib import Path
from secrets import token_bytes, token_urlsafe

from awfdrs_site.wheels import postgres, valkey
from awfdrs_site.wheels.machine import (
    LOOPBACK,
    EmbeddedError,
    locked,
    read_values,
    write_private,
)

__all__ = ["EmbeddedError", "Servers", "attached", "remove", "secrets", "start", "stop"]
NOT_RUNNING = 3  # the exit code that `status` has by custom


@dataclasses.dataclass(frozen=True)
class Servers:
    database_url: str
    database_owner_url: str
    redis_url: str
    postgres_pid: int
    valkey_pid: int


def start(data_dir: Path) -> Servers:
    """Attach to the servers of this directory, starting whichever does not run."""
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    with locked(data_dir, "servers"):
        if running := attached(data_dir):
            return running
        postgres.start(_cluster(data_dir))
        valkey.start(data_dir, password=secrets(data_dir)["REDIS_PASSWORD"])
        if running := attached(data_dir):
            return running
    raise EmbeddedError(f"The servers of {data_dir} started and then stopped answering.")


def stop(data_dir: Path) -> None:
    """Shut both down cleanly and wait until they are gone; stopped already is fine."""
    data_dir = data_dir.resolve()
    if not (data_dir / "secrets.json").exists():
        return
    with locked(data_dir, "servers"):
        postgres.stop(_cluster(data_dir))
        valkey.stop(data_dir, password=secrets(data_dir)["REDIS_PASSWORD"])


def remove(data_dir: Path) -> None:
    """Stop the servers and delete everything they kept, wherever it had to be placed."""
    data_dir = data_dir.resolve()
    if data_dir.exists():
        stop(data_dir)
        postgres.remove(data_dir)
        shutil.rmtree(data_dir)


def attached(data_dir: Path) -> Servers | None:
    """The servers of this directory if both let us in, else None. Starts nothing.

    The proof is that they take our passwords: process ids and ports are reused by strangers.
    """
    data_dir = data_dir.resolve()
    if (valkey_port := valkey.port(data_dir)) is None:
        return None
    keys = secrets(data_dir)
    postmaster = postgres.answering(_cluster(data_dir))
    valkey_pid = valkey.answering(data_dir, password=keys["REDIS_PASSWORD"])
    if postmaster is None or valkey_pid is None:
        return None
    address = f"{LOOPBACK}:{postmaster.port}/{postgres.DATABASE}"
    owner, login = keys["DATABASE_OWNER_PASSWORD"], keys["DATABASE_PASSWORD"]
    return Servers(
        database_url=f"postgresql://{postgres.LOGIN}:{login}@{address}",
        database_owner_url=f"postgresql://{postgres.OWNER}:{owner}@{address}",
        redis_url=f"redis://:{keys['REDIS_PASSWORD']}@{LOOPBACK}:{valkey_port}/0",
        postgres_pid=postmaster.pid,
        valkey_pid=valkey_pid,
    )


def secrets(data_dir: Path) -> dict[str, str]:
    """This directory's keys and passwords, made once; a name that a later release adds is added."""
    path = data_dir / "secrets.json"
    fresh = {
        "SECRET_KEY": token_urlsafe(64),
        "ENCRYPTION_KEY": base64.urlsafe_b64encode(token_bytes(32)).decode(),
        "AUDIT_KEY": base64.urlsafe_b64encode(token_bytes(32)).decode(),
        "DATABASE_PASSWORD": token_urlsafe(32),
        "DATABASE_OWNER_PASSWORD": token_urlsafe(32),
        "REDIS_PASSWORD": token_urlsafe(32),
        "METRICS_TOKEN": token_urlsafe(32),
    }
    if fresh.keys() <= (kept := read_values(path)).keys():
        return kept
    data_dir.mkdir(parents=True, exist_ok=True)
    with locked(data_dir, "secrets"):  # of two first starts, the second reads the first one's
        kept = fresh | read_values(path)
        write_private(path, json.dumps(kept, indent=1))
        return kept


def _cluster(data_dir: Path) -> postgres.Cluster:
    keys = secrets(data_dir)
    return postgres.place(
        data_dir,
        owner_password=keys["DATABASE_OWNER_PASSWORD"],
        login_password=keys["DATABASE_PASSWORD"],
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m awfdrs_site.embedded")
    parser.add_argument("verb", choices=("start", "stop", "status", "remove"))
    parser.add_argument("data_dir", type=Path)
    asked = parser.parse_args(arguments)
    verbs = {"start": start, "stop": stop, "status": attached, "remove": remove}
    try:
        servers = verbs[asked.verb](asked.data_dir)
    except (EmbeddedError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    if servers:
        print(json.dumps(dataclasses.asdict(servers)))
    return NOT_RUNNING if asked.verb == "status" and not servers else 0


if __name__ == "__main__":
    sys.exit(main())
