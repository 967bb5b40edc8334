"""The only place that measures two web processes and three workers behind PgBouncer, and what an event costs each part.

python -m tests.bench.scale [--events 5000] [--connections 32]
"""

import argparse
import asyncio
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from subprocess import Popen
from tempfile import mkdtemp
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

import psutil
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict

from awfdrs_site.wheels import machine
from tests import conftest, databases

if TYPE_CHECKING:
    from tests.faults.outages.stack import Stack

PGBOUNCER = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
N_WEBS, N_WORKERS = 2, 3
SETTLED_SECONDS = 300.0
_SIZE = """
select sum(pg_total_relation_size(c.oid))::bigint from pg_class c join pg_namespace n on n.oid = relnamespace
where nspname = 'public' and relkind = 'r'
"""
_WAITING = "select count(*) from events_pendingevent"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=5_000)
    parser.add_argument("--connections", type=int, default=32)
    asked = parser.parse_args()
    databases.prepare(conftest.RUN)
    from tests.faults.outages.stack import stack

    with stack("scale") as made:
        database = conninfo_to_dict(settings.DATABASE_OWNER_URL)["dbname"]
        made.postgres.execute(f"alter database {database} reset synchronous_commit")
        with pooled(made.postgres.url(settings.DATABASE_URL)) as url:
            measure(replace(made, environment={**made.environment, "DATABASE_URL": url}), asked)


def measure(made: "Stack", asked: argparse.Namespace) -> None:
    ports = [machine.free_port() for _ in range(N_WEBS)]
    with ExitStack() as running:
        webs = [
            running.enter_context(made.program("-m", "awfdrs_site.web", "--port", str(port)))
            for port in ports
        ]
        workers = [running.enter_context(made.worker()) for _ in range(N_WORKERS)]
        for port in ports:
            _wait(replace(made, port=port))
        parts = {"web": webs, "worker": workers}
        before, size = _used(made, parts), made.postgres.ask(_SIZE)
        began = time.monotonic()
        told = asyncio.run(_send(ports, made.token, asked))
        took = time.monotonic() - began
        while made.postgres.ask(_WAITING):
            assert time.monotonic() - began < SETTLED_SECONDS, "the backlog never ends"
            time.sleep(0.05)
        settled, after = time.monotonic() - began, _used(made, parts)
        grown = made.postgres.ask(_SIZE) - size
    print(
        f"{N_WEBS} web, {N_WORKERS} workers {_how()}, load average {os.getloadavg()[0]:.1f}: "
        f"{dict(told)} in {took:.1f} s, {asked.events / took:,.0f} events/s taken, "
        f"{asked.events / settled:,.0f} events/s taken and digested"
    )
    for part, seconds in after.items():
        print(f"{part:<10} {(seconds - before[part]) / asked.events * 1000:6.2f} ms an event")
    print(f"{'disk':<10} {grown / asked.events:6,.0f} bytes an event, with indexes")


def _how() -> str:
    return "behind PgBouncer" if PGBOUNCER else "without PgBouncer (apt install pgbouncer)"


def _wait(made: "Stack") -> None:
    from tests.faults.outages.stack import until

    until(lambda: made.health("/ready").status_code == 200)


def _used(made: "Stack", parts: dict[str, "list[Popen[bytes]]"]) -> Counter[str]:
    """Seconds of processor time of everybody so far; of those that end meanwhile nothing is known."""
    postmaster = int((made.postgres.path / "postmaster.pid").read_text().split()[0])
    pids = {name: [one.pid for one in theirs] for name, theirs in parts.items()}
    return Counter(
        {
            name: sum(_of_tree(pid) for pid in theirs)
            for name, theirs in {**pids, "Postgres": [postmaster]}.items()
        }
    )


def _of_tree(pid: int) -> float:
    process = psutil.Process(pid)
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))


async def _send(ports: Sequence[int], token: str, asked: argparse.Namespace) -> Counter[int]:
    told: Counter[int] = Counter()
    left = iter(range(asked.events))
    senders = [_sender(ports[n % len(ports)], token, left, told) for n in range(asked.connections)]
    await asyncio.gather(*senders)
    return told


async def _sender(port: int, token: str, left: Iterator[int], told: Counter[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in left:
        body = json.dumps(
            {
                "workflow": "checkout",
                "event_type": "payment.failed",
                "run_id": f"run-{number // 5}",
                "payload": {"error_code": "payment_timeout", "vendor": "stripe", "n": number},
                "occurred_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "idempotency_key": str(uuid4()),
            }
        ).encode()
        writer.write(
            b"POST /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s"
            % (token.encode(), len(body), body)
        )
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
        told[int(head.split(b" ")[1])] += 1


@contextmanager
def pooled(url: str) -> Iterator[str]:
    """The same database behind a PgBouncer in transaction mode; itself where there is none."""
    if PGBOUNCER is None:
        yield url
        return
    at, port, home = urlsplit(url), machine.free_port(), Path(mkdtemp())
    (home / "users").write_text(f'"{at.username}" "{at.password}"\n')
    (home / "ini").write_text(
        f"[databases]\n* = host={at.hostname} port={at.port}\n[pgbouncer]\n"
        f"listen_addr=127.0.0.1\nlisten_port={port}\nunix_socket_dir=\nauth_type=plain\n"
        f"auth_file={home}/users\npool_mode=transaction\ndefault_pool_size=20\n"
        f"max_client_conn=500\nlogfile={home}/log\n"
    )
    as_whom = ["-u", "nobody"] if os.getuid() == 0 else []
    for path in (home, *home.iterdir()):
        path.chmod(0o777)
    process = Popen([PGBOUNCER, "-q", *as_whom, str(home / "ini")])
    try:
        yield f"{at.scheme}://{at.username}:{at.password}@127.0.0.1:{port}{at.path}"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
