"""Actions that start in one transaction: each is judged as if it had started by itself, and none harms another."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from threading import Barrier
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.conf import LazySettings
from django.db import connection

from actions import blasts, calls, counts, execution, starting, waves
from actions.claiming import Claim
from actions.executors.base import Call, Result
from actions.models import Action
from actions.states import Status
from awfdrs_site.lib import clock
from awfdrs_site.lib.ids import uuid7
from incidents.models import Run
from tenants.models import Tenant
from tenants.scoping import bound
from tests.factories import ActionFactory, AttemptFactory
from tests.support.starting import TOKEN, World
from tests.support.starting_cases import CASES, new_buckets, tenant_cap
from tests.threads import PATIENCE_SECONDS, at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """Everything starts at one and the same moment, and the dice fall one way."""
    moment = clock.read()

    @contextmanager
    def at_the_moment(tenant_id: UUID, *, durable: bool = False) -> Iterator[datetime]:
        with bound(tenant_id, durable=durable):
            yield moment

    monkeypatch.setattr(starting, "scoping", SimpleNamespace(bound=at_the_moment))
    monkeypatch.setattr(starting, "random", lambda: 0.5)
    return moment


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_together_each_gets_the_verdict_it_gets_alone(
    acme: Tenant,
    globex: Tenant,
    settings: LazySettings,
    moment: datetime,
    case: Callable[[World], None],
) -> None:
    settings.MAX_RETRIES_PER_VENDOR = 10
    alone, together = World(acme, moment), World(globex, moment)
    for world in (alone, together):
        if case is not new_buckets:
            world.rest()
        case(world)
    for claim in alone.claims():
        waves.start_alone(claim)
    made = starting.start_many(tenant_id=globex.pk, claims=together.claims())

    for mine, others in zip(together.told(), alone.told(), strict=True):
        assert mine == others
    assert together.breakers() == alone.breakers()
    assert together.metered() == alone.metered()
    said = [told[1] for told in together.told()]
    assert [made[action.pk] is not None for action in together.actions] == [
        status == Status.IN_PROGRESS for status in said
    ]
    # What the case is about shows, or nothing is compared.
    assert set(said) != {Status.IN_PROGRESS}


def statuses(world: World) -> list[str]:
    with bound(world.tenant.pk):
        mine = Action.objects.for_tenant(world.tenant)
        by_id = dict(mine.values_list("pk", "status"))
    return [by_id[action.pk] for action in world.actions]


def test_one_that_breaks_stops_no_other(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(acme, clock.read())
    world.rest()
    build, broken = calls.of, world.actions[1].pk

    def of(action: Action, **about: Any) -> Call:
        if action.pk == broken:
            raise RuntimeError("its payload is of an unknown kind")
        return build(action, **about)

    monkeypatch.setattr(calls, "of", of)
    monkeypatch.setitem(execution.EXECUTORS, "retry", lambda call: Result("succeeded"))
    [wave] = waves.of(world.claims(), at_most=len(world.actions))
    for claim in world.claims():
        execution.run(claim, start=wave.start)
    assert statuses(world).count(Status.COMPLETED) == 5
    with bound(acme.pk):
        left = Action.objects.for_tenant(acme).get(status=Status.PENDING)
    # to be found by its lease, and as if nothing had been tried
    assert (left.pk, left.attempts_made, left.lease_token) == (broken, 0, TOKEN)


def test_a_lost_lease_and_one_that_has_started_are_left_alone(acme: Tenant) -> None:
    world = World(acme, clock.read())
    world.rest()
    world.change([0], lease_token=TOKEN + 1)
    world.change([1], status=Status.IN_PROGRESS)
    world.change([2], lease_until=clock.read())
    made = starting.start_many(tenant_id=acme.pk, claims=world.claims())
    assert set(made) == {action.pk for action in world.actions[3:]}
    assert all(made.values())


@pytest.mark.django_db(transaction=True)
def test_what_somebody_else_holds_keeps_nobody_waiting(acme: Tenant) -> None:
    world = World(acme, clock.read())
    world.rest()
    holding, is_over = Barrier(2), Barrier(2)

    def work(number: int) -> set[UUID]:
        if number == 0:
            with bound(acme.pk):
                list(Run.objects.for_tenant(acme).select_for_update().filter(run_id="run-0"))
                list(
                    Action.objects.for_tenant(acme)
                    .select_for_update()
                    .filter(pk=world.actions[1].pk)
                )
                holding.wait(PATIENCE_SECONDS)
                is_over.wait(PATIENCE_SECONDS)
            return set()
        holding.wait(PATIENCE_SECONDS)
        made = starting.start_many(tenant_id=acme.pk, claims=world.claims())
        is_over.wait(PATIENCE_SECONDS)
        return set(made)

    _, made = at_once(2, work)
    assert made == {action.pk for action in world.actions[2:]}
    # by itself it waits for its row, and goes
    assert all(waves.start_alone(claim) for claim in world.claims()[:2])


@pytest.mark.django_db(transaction=True)
def test_batches_at_once_never_go_above_a_cap(acme: Tenant) -> None:
    world = World(acme, clock.read())
    world.rest()
    tenant_cap(world)
    claims = world.claims()
    starts = partial(starting.start_many, tenant_id=acme.pk)
    at_once(2, lambda number: starts(claims=claims[number::2]))
    assert statuses(world).count(Status.IN_PROGRESS) == 5


@pytest.mark.django_db(transaction=True)
def test_the_jobs_of_a_sweep_start_together_and_settle_each_for_itself(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(acme, clock.read())
    world.rest()
    world.change(range(6), lease_token=None, lease_until=None)
    batches: list[int] = []
    begin = starting.start_many

    def counted(*, tenant_id: UUID, claims: list[Claim]) -> dict[UUID, Call | None]:
        batches.append(len(claims))
        return begin(tenant_id=tenant_id, claims=claims)

    monkeypatch.setattr(starting, "start_many", counted)
    monkeypatch.setitem(execution.EXECUTORS, "retry", lambda call: Result("succeeded"))
    jobs: list[Any] = []
    assert execution.run_due(limit=6, submit=jobs.append, together=4) == 6
    at_once(6, lambda number: jobs[number]())
    assert sorted(batches) == [2, 4]
    assert set(statuses(world)) == {Status.COMPLETED}
    assert not execution._under_way[acme.pk]


MANY = """
insert into actions_action
select (jsonb_populate_record(one, jsonb_build_object('id', gen_random_uuid(), 'dedupe_key', n::text))).*
from actions_action one cross join generate_series(1, 300) n;
insert into actions_attempt
select (jsonb_populate_record(one, jsonb_build_object('id', gen_random_uuid(), 'number', n + 1))).*
from actions_attempt one cross join generate_series(1, 300) n
"""


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (counts.CALLING, "action_in_flight"),
        (counts.TRIED_OF_RUNS, "attempt_of_run"),
        (counts.TRIED_OF_VENDORS, "attempt_of_vendor"),
        (blasts.BEGUN, "action_of_rule"),
    ],
    ids=["calling", "tried of runs", "tried of vendors", "begun"],
)
def test_what_every_start_counts_is_found_by_its_index(
    acme: Tenant, statement: str, index: str
) -> None:
    AttemptFactory(tenant=acme, action=ActionFactory(tenant=acme, status=Status.COMPLETED))
    about: dict[str, Any] = {
        "tenant": acme.pk,
        "ids": [uuid7()],
        "runs": [uuid7()],
    }
    with bound(acme.pk) as now, connection.cursor() as cursor:
        # In an empty table one index costs as much as another, and so does one order of joining: ours is asked about.
        cursor.execute(MANY)
        cursor.execute("set local enable_seqscan = off; set local join_collapse_limit = 1")
        cursor.execute(
            f"explain (format json) {statement}",
            {**about, "since": now, "window": now, "rule": "category transient_error"},
        )
        found = cursor.fetchone()[0]
    plan = found if isinstance(found, str) else json.dumps(found)
    assert f'"{index}"' in plan
