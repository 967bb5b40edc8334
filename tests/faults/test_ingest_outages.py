"""Ingestion under load while its Postgres is killed or its Redis hangs: what was acknowledged is there."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import quantiles
from uuid import uuid4

import httpx
import psycopg
import pytest
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict

from tests.cast import event
from tests.databases import Owner
from tests.faults.outages.stack import SLACK, Stack, stack, until
from tests.faults.sizes import on_demand, sized
from tests.faults.table import Row

pytestmark = [pytest.mark.faults, on_demand]

N_KILLS = sized(small=2, full=20)
BETWEEN_KILLS = 100  # acknowledged events
PATIENCE, PAUSE_SECONDS = 50, 0.05
N_SENDERS = 8
HUNG_SECONDS = sized(small=5, full=60)
# What a caller may lose to a Redis that hangs (M5); one in every two seconds asks whether it is back.
BOUND_SECONDS = 0.25
BANNER_SECONDS = 10
_LOST = """
select count(*) from unnest(%s::uuid[]) told left join events_event kept on kept.id = told where kept.id is null
"""


class Load:
    """Senders that never rest: each event again until it is acknowledged, and on disk in the ledger before the next."""

    def __init__(self, product: Stack, ledger: Path) -> None:
        self._url = f"http://127.0.0.1:{product.port}/api/v1/events"
        self._headers = {"Authorization": f"Bearer {product.token}"}
        self._template, self._ledger = event(), ledger
        self._is_over = threading.Event()
        self.seconds: list[float] = []
        self.n_refused = 0

    @contextmanager
    def going_on(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._send_on) for _ in range(N_SENDERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join()

    def told(self) -> list[str]:
        return self._ledger.read_text().split()

    def _send_on(self) -> None:
        ledger = os.open(self._ledger, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        with httpx.Client(headers=self._headers, timeout=10, trust_env=False) as client:
            while not self._is_over.is_set():
                event_id = self._acknowledged(client, str(uuid4()))
                if event_id:
                    os.write(ledger, f"{event_id}\n".encode())
                    os.fsync(ledger)
        os.close(ledger)

    def _acknowledged(self, client: httpx.Client, key: str) -> str:
        """Its id; none when the load ends before anybody took it."""
        while not self._is_over.is_set():
            began = time.monotonic()
            try:
                answer = client.post(self._url, json=self._template | {"idempotency_key": key})
            except httpx.HTTPError:
                time.sleep(PAUSE_SECONDS)
                continue
            if answer.status_code in (200, 201):
                self.seconds.append(time.monotonic() - began)
                return str(answer.json()["event_id"])
            # nothing else is said while Postgres is away
            assert answer.status_code == 503, answer.text
            self.n_refused += 1
            time.sleep(PAUSE_SECONDS)
        return ""


@pytest.fixture(scope="module")
def servers_alone(owner: Owner) -> Iterator[Stack]:
    with stack("ingest-outages") as made:
        yield made


@pytest.fixture
def product(servers_alone: Stack) -> Stack:
    """Servers that nobody else uses; commits wait for the disk, as they do not for other tests."""
    commits(servers_alone, "on")
    servers_alone.postgres.refuse()
    servers_alone.repair()  # every connection is a new one
    return servers_alone


def commits(product: Stack, how: str) -> None:
    """From the next connection on; on disk itself, or the stop right after would undo it."""
    database = conninfo_to_dict(settings.DATABASE_URL)["dbname"]
    change = f"alter database {database} set synchronous_commit = {how}"
    product.postgres.execute(f"set synchronous_commit = on; {change}")


def lost(product: Stack, told: list[str]) -> int:
    with psycopg.connect(product.postgres.url(settings.DATABASE_OWNER_URL)) as owner:
        row = owner.execute(_LOST, [told]).fetchone()
        assert row is not None
        return int(row[0])


def started_again(product: Stack) -> None:
    """The kernel may take a moment to end what was killed, and until then nothing starts in its place."""
    for _ in range(PATIENCE):
        with suppress(AssertionError):
            product.postgres.start()
            return
        time.sleep(0.2)
    raise AssertionError("Postgres does not start again")


def kill_again_and_again(product: Stack, load: Load) -> float:
    """The most seconds from a death until somebody was told 201 again."""
    slowest = 0.0
    with load.going_on():
        for _ in range(N_KILLS):
            enough = len(load.seconds) + BETWEEN_KILLS
            until(lambda enough=enough: len(load.seconds) > enough)  # type: ignore[misc]
            product.postgres.signal(signal.SIGKILL)
            killed_at = time.monotonic()
            started_again(product)
            before = len(load.seconds)
            until(lambda before=before: len(load.seconds) > before)  # type: ignore[misc]
            slowest = max(slowest, time.monotonic() - killed_at)
    return slowest


def test_a_killed_postgres_loses_nothing_that_was_acknowledged(
    product: Stack, tmp_path: Path, row: Row
) -> None:
    load = Load(product, tmp_path / "ledger")
    recovery = kill_again_and_again(product, load)
    told = load.told()
    # somebody was told something
    assert len(told) > N_KILLS * BETWEEN_KILLS
    # issue 7: acknowledged and lost, none
    assert lost(product, told) == 0

    # the positive control: without waiting for the disk the same kills lose what this test can see
    product.postgres.execute("alter system set wal_writer_delay = '10s'")
    commits(product, "off")
    product.postgres.refuse()
    product.repair()
    careless = Load(product, tmp_path / "careless")
    kill_again_and_again(product, careless)
    n_lost = lost(product, careless.told())
    assert n_lost > 0
    row.tell(
        f"Postgres killed {N_KILLS} times",
        load=f"{len(told):,} acknowledged over {N_SENDERS} connections",
        losses=lost(product, told),
        recovery_seconds=recovery,
        control=f"synchronous_commit off: {n_lost:,} of {len(careless.told()):,} lost",
    )


def test_a_redis_that_hangs_costs_no_event_and_next_to_no_time(
    product: Stack, tmp_path: Path, row: Row
) -> None:
    load = Load(product, tmp_path / "ledger")
    with load.going_on():
        until(lambda: len(load.seconds) > N_SENDERS)
        del load.seconds[:]
        product.redis.signal(signal.SIGSTOP)
        began = time.monotonic()
        until(lambda: 'data-outage="redis"' in product.page().text, seconds=BANNER_SECONDS * SLACK)
        seen_after = time.monotonic() - began
        time.sleep(max(0.0, HUNG_SECONDS - seen_after))
        took = list(load.seconds)
        product.redis.signal(signal.SIGCONT)
    p99 = quantiles(took, n=100)[98]
    assert (lost(product, load.told()), load.n_refused) == (0, 0)
    assert p99 < BOUND_SECONDS * SLACK
    row.tell(
        f"Redis stopped for {HUNG_SECONDS} s",
        load=f"{len(took):,} acknowledged, p99 {p99 * 1000:.0f} ms, banner after {seen_after:.1f} s",
        losses=lost(product, load.told()),
    )
