"""Eight workers digest one problem while one after the other is SIGKILLed: nothing is lost, nothing counted twice."""

import time
from pathlib import Path
from random import Random
from threading import Event as Flag
from typing import Any

import pytest
from django.db.models import Sum

from awfdrs_site.lib import clock
from events.models import Event, PendingEvent
from incidents import detection, inbox, reading, turns
from incidents.models import AffectedRun, EventLink, IncidentHour
from incidents.reading import Reading
from tenants import scoping
from tenants.models import Tenant
from tests.cast import Travel, digest_all, event, journal_of, only_incident, submit, submit_all
from tests.databases import Owner
from tests.factories import IncidentFactory
from tests.faults.nursery import Nursery, nursery
from tests.faults.sizes import sized
from tests.faults.table import Row
from tests.threads import at_once

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]

N_WORKERS = 8
N_EVENTS = sized(small=800, full=10_000)
BATCH = sized(small=20, full=200)
KILL_EVERY_SECONDS = sized(small=100, full=300) / 1000
N_KILLS = sized(small=3, full=10)  # at least
# From here on nobody is killed: what follows is how soon the rest is done.
NEARLY_EMPTY = N_EVENTS // 20
CALM_SECONDS = 10.0  # nothing may be left for longer than this; a lease is five seconds of it
PATIENCE_SECONDS = 90  # on a busy machine

# Small batches, so that many kills fall between the first event and the last.
OURS = """
def digest():
    return detection.digest(limit=BATCH)
"""
# What a first implementation does: look at the count, add its own events, write the sum.
READ_THEN_WRITE = """
def digest():
    claimed = inbox.claim(BATCH // 2)
    for tenant_id, claims in claimed.items():
        mine = Incident.objects.for_tenant(tenant_id)
        with scoping.bound(tenant_id):
            before = mine.get().event_count
        with scoping.bound(tenant_id):
            events = inbox.take(tenant_id, claims)
            mine.update(event_count=before + len(events))
    return len(claimed)
"""
# What every worker does, with one of the above.
WORK = """
import time
from incidents import detection, inbox
from incidents.models import Incident
from safety import rules
from tenants import scoping
BATCH = {batch}
{digest}
def work():
    while True:
        if not digest():
            time.sleep(0.1)
"""
# Whatever the first digest loads.
PREPARE = """
from incidents import detection
from safety import rules
rules.rulebook()
detection.digest(limit=0)
"""
# One event with its run becomes many: storing them is not what is tested here.
MULTIPLY = """
with many as (
  select (left(id::text, 24) || lpad(to_hex(n), 12, '0'))::uuid as new_id, n, event.*
  from events_event event, generate_series(1, %s) n
), stored as (
  insert into events_event (id, tenant_id, workflow_id, event_type, payload, occurred_at, received_at, run_ref,
                            schema_version, extra, vendor_name, correlation_id)
  select new_id, tenant_id, workflow_id, event_type, payload, occurred_at - n * interval '1 second', received_at,
         'run-' || n, schema_version, extra, vendor_name, correlation_id from many
)
insert into events_pendingevent (id, tenant_id, received_at, attempts)
select new_id, tenant_id, received_at, 0 from many
"""


class Workers:
    """Processes that do nothing but digest."""

    def __init__(self, nursery: Nursery) -> None:
        self._nursery = nursery
        self._pids = [nursery.fork() for _ in range(N_WORKERS)]
        self._any = Random(1)

    def replace_one(self) -> None:
        """Kill any, start another."""
        self._nursery.kill(self._pids.pop(self._any.randrange(len(self._pids))))
        self._pids.append(self._nursery.fork())


def waiting(tenant: Tenant) -> int:
    with scoping.bound(tenant.pk):
        return PendingEvent.objects.for_tenant(tenant).count()


def under_fire(tenant: Tenant, digest: str, errors: Path) -> tuple[int, float]:
    """Digest everything while workers die; (kills, seconds from the last kill until nothing was left)."""
    pace, kills = Flag(), 0  # never set: its timeout is the pace
    work = WORK.format(digest=digest, batch=BATCH)
    with nursery(work=work, prepare=PREPARE, errors=errors) as made:
        workers = Workers(made)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while waiting(tenant) > NEARLY_EMPTY and time.monotonic() < deadline:
            pace.wait(KILL_EVERY_SECONDS)
            workers.replace_one()
            kills += 1
        calm = time.monotonic()
        while waiting(tenant) and time.monotonic() < deadline:
            pace.wait(0.05)
        return kills, time.monotonic() - calm


def test_events_of_one_problem_survive_their_workers(
    acme: Tenant, owner: Owner, tmp_path: Path, row: Row
) -> None:
    submit(acme, run_id="run-0", occurred_at="2026-01-01T12:00:00Z")
    owner.connection.execute(MULTIPLY, [N_EVENTS - 1])
    kills, calm = under_fire(acme, OURS, tmp_path / "errors")

    assert kills >= N_KILLS
    assert waiting(acme) == 0
    assert calm < CALM_SECONDS
    incident = only_incident(acme)
    assert (incident.event_count, incident.affected_runs) == (N_EVENTS, N_EVENTS)
    assert (incident.unrecovered_runs, incident.number) == (N_EVENTS, 1)
    with scoping.bound(acme.pk):
        hours = IncidentHour.objects.for_tenant(acme)
        assert hours.aggregate(n=Sum("n_events"))["n"] == N_EVENTS
        assert (
            EventLink.objects.for_tenant(acme).filter(incident_id=incident.pk).count() == N_EVENTS
        )
        assert AffectedRun.objects.for_tenant(acme).count() == N_EVENTS
    assert journal_of(acme, incident.pk) == ["detected"]
    assert "poisoned" not in journal_of(acme)
    row.tell(
        f"{kills} of {N_WORKERS} digesting workers killed, one every {KILL_EVERY_SECONDS:.1f} s",
        load=f"{N_EVENTS} events of one problem",
        losses=N_EVENTS - incident.event_count,
        recovery_seconds=calm,
        control="with read and then write: below",
    )


def test_the_same_fire_finds_out_who_reads_and_then_writes(
    acme: Tenant, owner: Owner, tmp_path: Path, row: Row
) -> None:
    IncidentFactory(tenant=acme, event_count=0)
    submit(acme, run_id="run-0")
    owner.connection.execute(MULTIPLY, [N_EVENTS - 1])
    under_fire(acme, READ_THEN_WRITE, tmp_path / "errors")

    # the positive control of the test above: every event was taken once, and counts were overwritten
    assert waiting(acme) == 0
    counted = only_incident(acme).event_count
    assert 0 < counted < N_EVENTS
    row.tell(
        "the same with read and then write",
        load=f"{N_EVENTS} events of one problem",
        losses=N_EVENTS - counted,
        control=f"{N_EVENTS - counted} are not counted, as it must",
    )


class Died(BaseException):
    """What a SIGKILL leaves in the database: nothing of the transaction, and the claims."""


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> set[Any]:
    """Events that take their worker with them."""
    ids: set[Any] = set()
    read = reading.read

    def reads(event: Event, *matchers: Any) -> Reading:
        if event.pk in ids:
            raise Died
        return read(event, *matchers)

    monkeypatch.setattr(reading, "read", reads)
    return ids


def restart_until_idle() -> int:
    """Workers that die are started again at once; returns how many died."""
    deaths = 0
    while True:
        try:
            digest_all()
            return deaths
        except Died:
            deaths += 1


def test_an_event_that_kills_its_workers_is_set_aside_and_takes_no_other_with_it(
    acme: Tenant, globex: Tenant, deadly: set[Any], time_travel: Travel, row: Row
) -> None:
    verdicts = submit_all(acme, [event(run_id=f"run-{n}") for n in range(300)])
    deadly.add(verdicts[137].event_id)
    began = clock.read()
    deaths = restart_until_idle()
    submit(globex)
    counts: list[int] = []
    while waiting(acme) and len(counts) < 10:
        time_travel(seconds=6)
        deaths += restart_until_idle()
        with scoping.bound(acme.pk):
            counts.append(EventLink.objects.for_tenant(acme).count())
        if not has_due(acme):
            break

    # other tenants never wait, and after each lease fewer of its own batch are left
    assert only_incident(globex).event_count == 1
    assert counts[:5] == [50, 240, 285, 296, 299]
    assert deaths == inbox.TRIES
    assert only_incident(acme).event_count == 299
    assert journal_of(acme, verdicts[137].event_id) == ["poisoned"]
    assert waiting(acme) == 1  # visible, and left alone
    row.tell(
        f"an event that kills {deaths} workers, one after the other",
        load="300 events of one problem, 1 is set aside",
        losses=300 - counts[-1] - waiting(acme),
        story_seconds=(clock.read() - began).total_seconds(),
        control=f"{counts[0]} were digested after the first lease",
    )


def has_due(tenant: Tenant) -> bool:
    with scoping.bound(tenant.pk):
        return PendingEvent.objects.for_tenant(tenant).filter(poisoned_at=None).exists()


def test_nobody_claims_what_another_is_about_to_digest(
    acme: Tenant, globex: Tenant, row: Row
) -> None:
    submit(acme)
    submit(globex)
    has_turn, is_done = Flag(), Flag()

    def work(number: int) -> int:
        if number == 0:
            with scoping.bound(acme.pk):
                turns.take(acme.pk)
                has_turn.set()
                is_done.wait(30)
            return 0
        has_turn.wait(30)
        try:
            return detection.digest()
        finally:
            is_done.set()

    # the other tenant's events do not wait with it
    assert at_once(2, work) == [0, 1]
    assert only_incident(globex).event_count == 1
    assert detection.digest() == 1
    assert only_incident(acme).event_count == 1
    row.tell(
        "a worker that holds the turn of one tenant",
        load="1 event each of 2 tenants",
        losses=2 - sum(only_incident(tenant).event_count for tenant in (acme, globex)),
        control="the other's was digested meanwhile, its own was not",
    )
