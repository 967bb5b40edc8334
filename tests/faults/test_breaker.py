"""A breaker under workers that come at once, die inside their probes and lose every server: the row decides."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier
from threading import Event as Flag
from time import monotonic

import pytest
import redis
from django.conf import settings

from awfdrs_site import embedded
from awfdrs_site.lib import clock
from safety import breaker
from safety.models import CircuitBreaker
from tenants.models import Tenant, Vendor
from tenants.scoping import bound
from tests.cast import Travel, journal_of
from tests.databases import Owner
from tests.factories import BreakerFactory
from tests.faults.ground import PREPARE
from tests.faults.nursery import Nursery, nursery
from tests.faults.sizes import IS_FULL, sized
from tests.faults.table import Row
from tests.journeys.conftest import Stage
from tests.journeys.conftest import stage as stage
from tests.safety.test_breaker_model import follow
from tests.support.receiver import Reply
from tests.threads import at_once

pytestmark = pytest.mark.faults

N_WORKERS = sized(small=6, full=50)
PROBES = 3
PATIENCE_SECONDS = 120.0  # fifty workers start beside whatever else the machine does
DOOR = 4711  # the advisory lock behind which the workers gather
N_RUNS = 2 * N_WORKERS
# A worker waits at the door, and takes two actions: who is held up elsewhere leaves its permit to others.
# It writes down when it calls, so that we know whom to kill.
WORK = f"""
from actions import execution
from django.db import connection
call_workflow = execution.EXECUTORS["retry"]
def work(calling):
    def call(asked):
        with open(calling, "a") as pids:
            print(os.getpid(), file=pids)
        return call_workflow(asked)
    execution.EXECUTORS["retry"] = call
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_lock_shared({DOOR})")
    for _ in range(2):
        execution.run_due(limit=1)
"""
_BY_EPOCH = "select breaker_epoch, count(*)::int from actions_attempt group by 1"
_GATHERED = f"select count(*) from pg_locks where objid = {DOOR} and not granted"


@pytest.fixture(scope="module")
def workers(owner: Owner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    errors = tmp_path_factory.mktemp("breaker-workers") / "errors"
    with nursery(work=WORK, prepare=PREPARE, errors=errors) as made:
        yield made


def let_go_at_once(owner: Owner, workers: Nursery, calling: Path) -> list[int]:
    """That many workers, all behind one door, which opens when the last one is there."""
    owner.connection.execute(f"select pg_advisory_lock({DOOR})")
    pids = [workers.fork(str(calling)) for _ in range(N_WORKERS)]
    give_up_at = monotonic() + PATIENCE_SECONDS
    while owner.connection.execute(_GATHERED).fetchone() != (N_WORKERS,):
        assert monotonic() < give_up_at, "the workers never gathered"
    owner.connection.execute(f"select pg_advisory_unlock({DOOR})")
    return pids


def attempts_by_epoch(owner: Owner) -> dict[int, int]:
    """Every move of a breaker starts an epoch: 1 it opened, 2 it probed, 3 it closed."""
    return dict(owner.connection.execute(_BY_EPOCH).fetchall())


def test_workers_at_the_half_open_instant_and_one_dies_in_its_probe(
    stage: Stage, time_travel: Travel, owner: Owner, workers: Nursery, tmp_path: Path, row: Row
) -> None:
    stage.rule(
        "acquirer",
        breaker__failure_threshold=5,
        breaker__timeout_seconds=600,
        breaker__half_open_requests=PROBES,
        rate_limit__requests_per_second=1000,
        rate_limit__burst_size=1000,
        retry_budget__floor_per_minute=1000,
    )
    for number in range(N_RUNS):
        stage.fails(f"run-{number}")
    stage.turn()
    time_travel(minutes=5)
    for pid in let_go_at_once(owner, workers, tmp_path / "while-open"):
        assert workers.wait(pid) == 0
    # calls while open: none, however due the retries are
    assert (stage.breaker().state, stage.calls) == ("open", [])

    answer = Flag()
    stage.receiver.answer("/retry", Reply(after=answer))
    time_travel(minutes=7)
    calling = tmp_path / "half-open"
    pids = let_go_at_once(owner, workers, calling)
    stage.receiver.wait_for(PROBES, seconds=PATIENCE_SECONDS)
    dies, *_ = map(int, calling.read_text().split())
    os.kill(dies, signal.SIGKILL)
    killed_at = clock.read()
    answer.set()
    assert {pid for pid in pids if workers.wait(pid) == -signal.SIGKILL} == {dies}
    found = stage.breaker()
    # of all that came at once as many called as there are permits, also after two had given theirs back
    assert (len(stage.calls), attempts_by_epoch(owner)) == (PROBES, {2: PROBES})
    assert (found.state, found.successes, len(found.probes)) == ("half_open", PROBES - 1, 1)

    # the dead probe's permit comes back, and is one: its success closes the breaker
    time_travel(seconds=70)
    for pid in let_go_at_once(owner, workers, tmp_path / "again"):
        assert workers.wait(pid) == 0
    assert stage.breaker().state == "closed"
    closed_after = (clock.read() - killed_at).total_seconds()
    for _ in range(3):  # the others' turn, and the dead one's lease
        time_travel(seconds=70)
        stage.turn()
    assert {call["run_id"] for call in stage.calls} == {f"run-{n}" for n in range(N_RUNS)}
    by_epoch = attempts_by_epoch(owner)
    assert set(by_epoch) == {2, 3}
    assert by_epoch[2] == PROBES + 1
    assert journal_of(stage.tenant, stage.breaker().pk) == [
        "breaker_opened",
        "breaker_half_opened",
        "breaker_closed",
    ]
    row.tell(
        f"{N_WORKERS} workers at the half-open instant, one killed in its probe",
        load=f"{N_RUNS} retries due, {PROBES} probes at once, {by_epoch[2]} in all",
        losses=N_RUNS - len({call["run_id"] for call in stage.calls}),
        story_seconds=closed_after,
        control="without the lock on its row: below",
    )


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_on_its_row_more_would_get_through(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch, row: Row
) -> None:
    vendor: Vendor = BreakerFactory(tenant=acme, state="half_open", epoch=2).vendor
    n_threads, looked = 8, Barrier(8)

    def unlocked(_: Vendor) -> CircuitBreaker:
        found: CircuitBreaker = CircuitBreaker.objects.for_tenant(acme).get(vendor=vendor)
        looked.wait(PATIENCE_SECONDS)
        return found

    def ask(number: int) -> bool:
        with bound(acme.pk) as now:
            admitted = breaker.admit(vendor, call_id=str(number), now=now)
            admitted.keep(now=now)
        return admitted.admission.allowed

    monkeypatch.setattr(breaker, "_locked", unlocked)
    # the positive control of the test above: everybody found the same permits free
    n_through = sum(at_once(n_threads, ask))
    assert n_through > PROBES
    row.tell(
        "the same without the lock on a breaker's row",
        load=f"{n_threads} at once for {PROBES} probes",
        losses=n_through - PROBES,
        control=f"{n_through} got through, as they must",
    )


@pytest.mark.skipif(
    not IS_FULL, reason="the small model is in tests/safety; this one takes minutes"
)
def test_the_breaker_follows_its_model_for_500_walks_of_50_steps() -> None:
    follow(n_walks=500, n_steps=50)


# --- servers of its own ------------------------------------------------------------------------

# What a worker does from its first import to its death: it asks, and says what it was told.
ASK = """
import django, sys
django.setup()
from awfdrs_site.lib import clock
from safety import breaker
from safety.models import CircuitBreaker
from tenants.models import Tenant, Vendor
from tenants.scoping import bound, platform
tenant = Tenant(pk="0198c0de-0000-7000-8000-000000000001", name="Acme", slug="acme")
if sys.argv[1:] == ["open"]:
    with platform():
        tenant.save(force_insert=True)
with bound(tenant.pk) as now:
    if sys.argv[1:] == ["open"]:
        vendor = Vendor.objects.create(tenant=tenant, name="acquirer")
        breaker.record(vendor, ["failure"] * 10, now=now, cause="a test")
    vendor = Vendor.objects.for_tenant(tenant).get()
    admission = breaker.admit(vendor, call_id="late", now=now).admission
    row = CircuitBreaker.objects.for_tenant(tenant).get()
print(row.state, admission.allowed, row.epoch, row.open_until.isoformat())
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Open to every account: the servers of root run as another one."""
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        yield Path(parent) / "data"
        embedded.remove(Path(parent) / "data")


def python(servers: embedded.Servers, *arguments: str) -> str:
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "awfdrs_site.settings",
        "DATABASE_URL": servers.database_url,
        "DATABASE_OWNER_URL": servers.database_owner_url,
        "REDIS_URL": servers.redis_url,
        "SECRET_KEY": settings.SECRET_KEY,
        "ENCRYPTION_KEY": settings.ENCRYPTION_KEY,
        "DEBUG": "true",
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=settings.BASE_DIR,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not IS_FULL, reason="starts and migrates servers of its own, twice")
def test_an_open_breaker_is_open_after_a_flush_and_a_restart_of_everything(
    data_dir: Path, row: Row
) -> None:
    servers = embedded.start(data_dir)
    python(servers, "manage.py", "migrate", "--verbosity=0")
    opened = python(servers, "-c", ASK, "open")
    assert opened.startswith("open False 1 ")

    redis.Redis.from_url(servers.redis_url).flushall()
    assert python(servers, "-c", ASK) == opened

    # not asked to shut down: killed, in the middle of whatever they did
    os.kill(servers.postgres_pid, signal.SIGKILL)
    os.kill(servers.valkey_pid, signal.SIGKILL)
    killed_at = monotonic()
    again = embedded.start(data_dir)
    recovery = monotonic() - killed_at
    assert again.postgres_pid != servers.postgres_pid
    assert python(again, "-c", ASK) == opened
    row.tell(
        "Redis flushed, then Postgres and Redis killed",
        load="1 open breaker, asked 3 times: the same row",
        recovery_seconds=recovery,
        control="other processes answered",
    )
