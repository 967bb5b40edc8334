"""A kill switch under the highest start rate of this machine: nothing starts after it was acknowledged (M44, G9).

Compensations are started, with limits so ample that only kill switches can hold them: the shortest start there is.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Event as Flag
from typing import Any

import pytest
from django.conf import settings
from django.db import connections
from redis import Redis

from actions import claiming, releasing, starting
from actions.models import Action
from safety import killswitch, rules
from safety.killswitch import Held, Scopes
from tenants import scoping
from tenants.journal import SYSTEM
from tenants.models import Tenant, Vendor
from tenants.scoping import bound
from tests.databases import Owner
from tests.factories import (
    ActionFactory,
    IncidentFactory,
    RunFactory,
    VendorFactory,
    WorkflowFactory,
)
from tests.faults.sizes import sized
from tests.faults.table import Row
from tests.threads import PATIENCE_SECONDS

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]

ROUNDS = sized(small=2, full=50)  # of each scope, every other one while Redis hangs
N_HELD = sized(small=15, full=200)
N_STARTERS = 4
N_ACTIONS = 300
AMPLE = 100_000
PER_SECOND = 5
_COPY = """
with copies as (select * from generate_series(2, %s))
insert into actions_action select (jsonb_populate_record(action, jsonb_build_object(
  'id', gen_random_uuid(), 'dedupe_key', 'copy ' || copies.generate_series))).*
from actions_action action, copies
"""
_AGAIN = """
update actions_action set status = 'pending', lease_token = null, lease_until = null, run_at = awf_now(),
  attempts_max = 1000
"""
_ATTEMPTS = "select count(*) from actions_attempt"
_PARKED = "select count(*) from actions_action where status = 'parked'"


class Ground:
    """Many compensations that are due, started as fast as it goes; what is said of them comes from SQL alone."""

    def __init__(self, acme: Tenant, owner: Owner, n_actions: int) -> None:
        self.tenant, self._owner = acme, owner
        with scoping.platform():
            Tenant.objects.filter(pk=acme.pk).update(max_in_flight=AMPLE)
        workflow = WorkflowFactory(
            tenant=acme, compensate_url="https://example.org/undo", max_in_flight=AMPLE
        )
        incident = IncidentFactory(tenant=acme, workflow=workflow)
        self.action: Action = ActionFactory(
            tenant=acme,
            action_type="rollback",
            parameters={"compensates": "what was sent"},
            incident=incident,
            workflow=workflow,
            vendor=ample(VendorFactory(tenant=acme, max_in_flight=AMPLE)),
            run=RunFactory(tenant=acme, workflow=workflow),
        )
        owner.connection.execute(_COPY, [n_actions])

    def count(self, query: Any) -> int:
        found = self._owner.connection.execute(query).fetchone()
        assert found is not None
        return int(found[0])

    def wait_for(self, query: Any, more_than: int) -> None:
        patience = time.monotonic() + PATIENCE_SECONDS + N_HELD
        while time.monotonic() < patience:
            if self.count(query) > more_than:
                return
        pytest.fail(f"{query} stays at {self.count(query)}")

    def again(self) -> None:
        self._owner.connection.execute(_AGAIN)

    def target(self, scope: str) -> str:
        targets = {
            "workflow": str(self.action.workflow_id),
            "vendor": str(self.action.vendor_id),
            "action_type": "rollback",
        }
        return targets.get(scope, "")

    def activate(self, scope: str) -> Callable[[], None]:
        """Returns how to lift it."""
        said: dict[str, Any] = {"reason": "runaway", "expires_at": None, "by": SYSTEM}
        if scope == "global":
            with scoping.platform() as now:
                wide = killswitch.activate_global(**said, now=now)
            return lambda: _lift_global(wide)
        with bound(self.tenant.pk) as now:
            switch = killswitch.activate(
                tenant_id=self.tenant.pk, scope=scope, target=self.target(scope), **said, now=now
            )
        return lambda: self.lift(switch)

    def lift(self, switch: Any) -> None:
        with bound(self.tenant.pk) as now:
            killswitch.lift(
                switch, reason="over", by=SYSTEM, now=now, release_per_second=PER_SECOND
            )


def ample(vendor: Vendor) -> Vendor:
    """Its rate holds nothing."""
    values = {"rate_limit.requests_per_second": 10_000, "rate_limit.burst_size": 10_000}
    with bound(vendor.tenant_id) as now:
        rules.override(
            tenant_id=vendor.tenant_id,
            scope="vendor",
            target=vendor.name,
            values=values,
            reason="ample",
            by=SYSTEM,
            now=now,
        )
    return vendor


def _lift_global(switch: Any) -> None:
    with scoping.platform() as now:
        killswitch.lift_global(switch, reason="over", by=SYSTEM, now=now)


def start_due(tenant: Tenant) -> None:
    """All but one of them together, that one by itself: as a worker does, and as its fallback does."""
    claims = claiming.due(limit=20, under_way={})
    made = starting.start_many(tenant_id=tenant.pk, claims=claims[1:])
    for claim in claims:
        if claim.action_id not in made:
            starting.start(tenant_id=tenant.pk, action_id=claim.action_id, token=claim.token)


@contextmanager
def working(job: Callable[[], object]) -> Iterator[None]:
    """Some workers do nothing else."""
    is_over = Flag()

    def work() -> None:
        try:
            while not is_over.is_set():
                job()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(N_STARTERS) as threads:
        workers = [threads.submit(work) for _ in range(N_STARTERS)]
        try:
            yield
        finally:
            is_over.set()
            for worker in workers:
                worker.result()  # what stopped a worker says more than that nothing came


@contextmanager
def hung(pid: int, is_hung: bool) -> Iterator[None]:
    if is_hung:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def slipped_past(ground: Ground, scope: str, latencies: list[float]) -> int:
    """One round: how many attempts were committed as started after the acknowledgement."""
    ground.again()
    with working(lambda: start_due(ground.tenant)):
        ground.wait_for(_ATTEMPTS, ground.count(_ATTEMPTS) + N_STARTERS)
        began = time.perf_counter()
        lift = ground.activate(scope)
        latencies.append(time.perf_counter() - began)
        acknowledged = ground.count(_ATTEMPTS)
        # each of the workers has looked since, and was held
        ground.wait_for(_PARKED, 2 * N_STARTERS)
    late = ground.count(_ATTEMPTS) - acknowledged
    lift()
    return late


SCOPES = ("global", "tenant", "workflow", "vendor", "action_type")


def test_nothing_starts_after_an_acknowledged_stop(acme: Tenant, owner: Owner, row: Row) -> None:
    ground = Ground(acme, owner, N_ACTIONS)
    pid = int(Redis.from_url(settings.REDIS_URL).info()["process_id"])
    latencies: list[float] = []
    late: Counter[str] = Counter()
    for number in range(ROUNDS):
        for scope in SCOPES:
            with hung(pid, is_hung=number % 2 == 1):
                late[scope] += slipped_past(ground, scope, latencies)
    slowest = sorted(latencies)[int(len(latencies) * 0.99) - 1]
    assert late.total() == 0, late
    row.tell(
        f"{len(latencies)} kill switches, half of them while Redis hangs",
        load=f"{rate(ground):.0f} starts/s, acknowledged within p99 {slowest * 1000:.0f} ms",
        losses=late.total(),
        control="without the advisory locks: below",
    )


def rate(ground: Ground) -> float:
    """How many a second this machine starts when nothing holds them."""
    ground.again()
    before, began = ground.count(_ATTEMPTS), time.perf_counter()
    with working(lambda: start_due(ground.tenant)):
        ground.wait_for(_ATTEMPTS, before + N_ACTIONS // 2)
    return (ground.count(_ATTEMPTS) - before) / (time.perf_counter() - began)


def test_a_plain_select_lets_some_through(
    acme: Tenant, owner: Owner, monkeypatch: pytest.MonkeyPatch, row: Row
) -> None:
    """The positive control: the same race without the advisory locks (M8)."""

    def plain(scopes: Scopes, *, now: datetime) -> list[Held]:
        return killswitch.holding(scopes, now=now)

    monkeypatch.setattr(killswitch, "lock_and_read", plain)
    ground = Ground(acme, owner, N_ACTIONS)
    late = next(filter(None, (slipped_past(ground, "tenant", []) for _ in range(50))), 0)
    assert late > 0
    row.tell(
        "the same without the advisory locks",
        load=f"{N_ACTIONS} due, {N_STARTERS} workers",
        losses=late,
        control=f"{late} started after the stop, as they must",
    )


def test_what_was_held_comes_back_at_its_pace_none_lost_and_none_twice(
    acme: Tenant, owner: Owner, row: Row
) -> None:
    ground = Ground(acme, owner, N_HELD)
    lift = ground.activate("tenant")
    with working(lambda: start_due(acme)):
        ground.wait_for(_PARKED, N_HELD - 1)
    lift()

    def work() -> None:
        releasing.release_parked()
        start_due(acme)

    with working(work):
        ground.wait_for(_ATTEMPTS, N_HELD - 1)
    started = owner.connection.execute(
        "select action_id, started_at from actions_attempt order by started_at"
    ).fetchall()
    assert [n for _, n in Counter(one for one, _ in started).most_common()] == [1] * N_HELD
    busiest = most_within_a_second([at for _, at in started])
    assert busiest <= PER_SECOND + 1
    row.tell(
        f"a kill switch lifted at {PER_SECOND}/s",
        load=f"{N_HELD} held, at most {busiest} in any second",
        losses=N_HELD - len(started),
        recovery_seconds=(started[-1][1] - started[0][1]).total_seconds(),
        control="the measure sees a burst",
    )


def most_within_a_second(times: list[datetime]) -> int:
    second = timedelta(seconds=1)
    return max(sum(start <= at <= start + second for at in times) for start in times)


def test_the_measure_sees_a_burst() -> None:
    noon = datetime(2026, 1, 1, 12)
    evenly = [noon + timedelta(milliseconds=200 * n) for n in range(10)]
    assert most_within_a_second(evenly) == 6
    assert most_within_a_second([*evenly, noon]) == 7
