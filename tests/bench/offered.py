"""The only load that keeps to a rate, and what is seen of it: answers, incidents, memory.

As a program it is the sender: python -m tests.bench.offered PORT TOKEN RATE SECONDS
"""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import quantiles
from typing import Any

import psutil
import psycopg
from django.conf import settings

from tests.bench.lines import Line
from tests.support.web import Web, served

CONNECTIONS = 64
RATES = (1000, 700, 500, 350, 250, 150, 100, 50)
HELD = 0.97  # of what was offered: less, and the machine did not hold it
SAMPLE = 20  # one in so many is followed until its incident is seen
LOOK_SECONDS = 0.02
PATIENCE_SECONDS, STARTING_SECONDS = 30.0, 180.0
CELERY = ("-m", "celery", "-A", "awfdrs_site.celery")
WORKER = "worker --pool threads --concurrency 8 -Q digest,actions,default --without-gossip --without-mingle"
BEAT = "beat -S django_celery_beat.schedulers:DatabaseScheduler --pidfile="
_WAITING = "select count(*) from events_pendingevent"
_SEEN = "select id::text from incidents_eventlink where id = any(%s::uuid[])"


@dataclass(frozen=True)
class Spread:
    """Milliseconds at 50, 95 and 99 %."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: list[float]) -> "Spread":
        cuts = quantiles(seconds, n=100) if len(seconds) > 1 else [0.0] * 99
        return cls(*(cuts[at - 1] * 1000 for at in (50, 95, 99)))

    def __str__(self) -> str:
        return f"p50 {self.p50:,.1f} ms, p95 {self.p95:,.1f} ms, p99 {self.p99:,.1f} ms"


def measure(token: str, seconds: int) -> None:
    """Offer 1000 a second, or what this machine holds, to the whole product, and print what it was like."""
    with (
        served() as web,
        _program(*CELERY, *WORKER.split()) as worker,
        _program(*CELERY, *BEAT.split()) as beat,
    ):
        # a process that has just started is no measure, and a worker starts slowly
        if not _offer(web, token, 20, 3, patience=STARTING_SECONDS)[2]:
            raise SystemExit("The worker makes no incidents.")
        for rate in RATES:
            _until_all_is_digested()
            achieved, took, seen, n_wrong = _offer(web, token, rate, seconds)
            held = "held" if achieved >= HELD * rate else "NOT held"
            wrong = f"  WRONG {n_wrong}" if n_wrong else ""
            print(f"offered {rate}/s, {achieved:,.0f}/s answered ({held}){wrong}")
            print(f"  answered (bounds p95 10 ms, p99 25 ms): {Spread.of(took)}")
            print(f"  its incident is seen (bound p95 1,000 ms): {Spread.of(seen)}", flush=True)
            if held == "held":
                break
        parts = {"web": web.pid, "worker": worker, "beat": beat}
        sizes = {name: psutil.Process(pid).memory_info().rss / 2**20 for name, pid in parts.items()}
        said = ", ".join(f"{name} {size:.0f} MiB" for name, size in sizes.items())
        print(
            f"  resident after {seconds} s: {said}, together {sum(sizes.values()):.0f} (bound 500)"
        )


@contextmanager
def _program(*words: str) -> Iterator[int]:
    kept = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ENCRYPTION_KEY", "AUDIT_KEY")
    environment = {name: getattr(settings, name) for name in kept} | {"LOG_LEVEL": "ERROR"}
    process = subprocess.Popen(
        [sys.executable, *words],
        env=os.environ | environment | {"DJANGO_SETTINGS_MODULE": "awfdrs_site.settings"},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _offer(
    web: Web, token: str, rate: int, seconds: int, *, patience: float = PATIENCE_SECONDS
) -> tuple[float, list[float], list[float], int]:
    """Answers a second, seconds to each, seconds from an answer to its incident, and answers that were none."""
    command = [sys.executable, "-m", "tests.bench.offered", str(web.port), token]
    sender = subprocess.Popen(
        [*command, str(rate), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    lines: list[str] = []
    threading.Thread(target=lambda: lines.extend(sender.stdout or ()), daemon=True).start()
    seen: list[float] = []
    waiting: dict[str, float] = {}
    found: dict[str, Any] = {}
    give_up_at = time.monotonic() + seconds + patience
    with psycopg.connect(settings.DATABASE_OWNER_URL, autocommit=True) as owner:
        while (not found or waiting) and time.monotonic() < give_up_at:
            while lines:
                said = json.loads(lines.pop(0))
                if "id" in said:
                    waiting[said["id"]] = said["at"]
                else:
                    found = said
            for (event_id,) in owner.execute(_SEEN, [list(waiting)]).fetchall():
                seen.append(time.monotonic() - waiting.pop(event_id))
            time.sleep(LOOK_SECONDS)
    sender.kill()
    sender.wait()
    if waiting:
        print(f"  {len(waiting)} of those followed had no incident after {patience:.0f} s")
    return found.get("rate", 0.0), found.get("took", []), seen, found.get("wrong", 0)


def _until_all_is_digested() -> None:
    """What a rate that was too high left behind is no burden of the next one."""
    give_up_at = time.monotonic() + STARTING_SECONDS
    with psycopg.connect(settings.DATABASE_OWNER_URL, autocommit=True) as owner:
        while owner.execute(_WAITING).fetchone() != (0,) and time.monotonic() < give_up_at:
            time.sleep(LOOK_SECONDS)


class Sender:
    """Each request has its moment, whatever became of those before: it waits from then on."""

    def __init__(self, port: int, token: str) -> None:
        self._port, self._token = port, token
        self._mark = time.time_ns()
        self._at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._due: asyncio.Queue[tuple[int, float] | None] = asyncio.Queue()
        self.took: list[float] = []
        self.n_wrong = 0
        self.last = 0.0

    async def run(self, rate: int, seconds: int) -> float:
        """Answers a second."""
        began = time.monotonic()
        connections = [asyncio.create_task(self._connection()) for _ in range(CONNECTIONS)]
        for n in range(rate * seconds):
            due = began + n / rate
            if (left := due - time.monotonic()) > 0:
                await asyncio.sleep(left)
            self._due.put_nowait((n, due))
        for _ in connections:
            self._due.put_nowait(None)
        await asyncio.gather(*connections)
        return len(self.took) / max(self.last - began, 1e-9)

    async def _connection(self) -> None:
        line = await Line(self._port).open()
        while (given := await self._due.get()) is not None:
            n, due = given
            status, body = await line.send(self._request(n))
            self.last = time.monotonic()
            self.took.append(self.last - due)
            if status != 201:
                self.n_wrong += 1
            elif n % SAMPLE == 0:
                _say({"id": json.loads(body)["event_id"], "at": self.last})
        line.close()

    def _request(self, n: int) -> bytes:
        name = f"{self._mark}-{n}"
        body = (
            f'{{"workflow":"checkout","event_type":"payment.failed","occurred_at":"{self._at}","run_id":"{name}",'
            f'"idempotency_key":"{name}","payload":{{"error_code":"payment_timeout",'
            f'"error_message":"The payment provider did not answer in time","vendor":"stripe","amount":100}}}}'
        )
        return (
            f"POST /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {self._token}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


def _say(words: dict[str, Any]) -> None:
    print(json.dumps(words), flush=True)


def main() -> None:
    port, token, rate, seconds = sys.argv[1:]
    sender = Sender(int(port), token)
    with suppress(BrokenPipeError):
        achieved = asyncio.run(sender.run(int(rate), int(seconds)))
        _say({"rate": achieved, "took": sender.took, "wrong": sender.n_wrong})


if __name__ == "__main__":
    main()
