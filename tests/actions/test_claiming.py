"""Whose turn it is: round robin over tenants, caps on calls under way, and a price that waiting rows do not raise."""

import json
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from actions import claiming, execution, starting
from actions.claiming import Claim
from actions.models import Action
from actions.states import Status
from awfdrs_site.lib import clock
from awfdrs_site.lib.ids import uuid7
from safety import rules
from safety.models import VendorBucket
from tenants import scoping
from tenants.journal import SYSTEM
from tenants.models import Tenant, Vendor, Workflow
from tenants.scoping import bound
from tests.databases import Owner
from tests.factories import (
    ActionFactory,
    IncidentFactory,
    RunFactory,
    TenantFactory,
    VendorFactory,
    WorkflowFactory,
)
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

SLOTS, SPARE = 16, 4  # a worker's


def workflow_of(tenant: Tenant, **caps: int) -> Workflow:
    """One that can be retried."""
    vendor = VendorFactory(tenant=tenant, max_in_flight=caps.get("vendor", 1000))
    return WorkflowFactory(
        tenant=tenant,
        vendor=vendor,
        retry_url="https://workflow.example.org/retry",
        max_in_flight=caps.get("workflow", 1000),
    )


def waits(workflow: Workflow, n_actions: int, *, ago: float = 60, **fields: Any) -> list[UUID]:
    """That many due retries of the workflow, oldest first."""
    with bound(workflow.tenant_id) as now:
        tenant = workflow.tenant
        incident = IncidentFactory(
            tenant=tenant,
            workflow=workflow,
            vendor=workflow.vendor,
            classification={"is_certain": True},
        )
        runs = [
            RunFactory.build(tenant=tenant, workflow=workflow, incident=incident)
            for _ in range(n_actions)
        ]
        type(runs[0]).objects.bulk_create(runs) if runs else None
        made = [
            Action(
                tenant=tenant,
                action_type="retry",
                dedupe_key=str(uuid7()),
                incident=incident,
                run=run,
                workflow=workflow,
                vendor=workflow.vendor,
                attempts_max=3,
                run_at=now - timedelta(seconds=ago) + timedelta(milliseconds=place),
                requested_by="test",
                correlation_id="test",
                created_at=now,
                **fields,
            )
            for place, run in enumerate(runs)
        ]
        Action.objects.bulk_create(made)
    return [action.pk for action in made]


def many_more(tenant: Tenant, one: UUID, n_actions: int, *, ago: float) -> None:
    """That many like it, in one statement: four thousand built one by one take a test's patience."""
    fresh = {
        "id": "gen_random_uuid()",
        "dedupe_key": "gen_random_uuid()",
        "run_at": "awf_now() - make_interval(secs => %s)",
    }
    columns = [str(field.column) for field in Action._meta.concrete_fields]
    names, values = (", ".join(each) for each in (columns, [fresh.get(c, c) for c in columns]))
    with bound(tenant.pk), connection.cursor() as cursor:
        cursor.execute(
            f"insert into actions_action ({names}) select {values}"
            " from actions_action, generate_series(1, %s) where id = %s",
            [ago, n_actions, one],
        )


def claim(limit: int = SLOTS, *, spare: int = 0, **under_way: int) -> list[Claim]:
    return claiming.due(limit=limit, spare=spare, under_way={})


def tenants_of(claims: list[Claim]) -> Counter[UUID]:
    return Counter(claim.tenant_id for claim in claims)


def test_what_is_due_comes_in_its_order_and_is_leased_once(acme: Tenant) -> None:
    ids = waits(workflow_of(acme), 5)
    waits(workflow_of(acme), 2, ago=-60)
    first, second = claim(3), claim(3)
    assert {one.action_id for one in first} == set(ids[:3])
    assert {one.action_id for one in second} == set(ids[3:])
    assert claim() == []
    assert len({one.token for one in first + second}) == 5


def test_a_lease_that_ran_out_is_given_again(acme: Tenant, time_travel: Any) -> None:
    waits(workflow_of(acme), 1)
    [lost] = claim()
    time_travel(seconds=61)
    [again] = claim()
    assert again.action_id == lost.action_id
    assert again.token > lost.token


def test_a_tenant_with_many_due_actions_delays_anothers_by_no_tick(
    acme: Tenant, globex: Tenant
) -> None:
    waits(workflow_of(acme), 1000, ago=3600)
    late = waits(workflow_of(globex), 1, ago=0)
    assert set(late) <= {one.action_id for one in claim()}


def test_slots_go_round_over_tenants_and_lanes_do_not_multiply_a_tenant(
    acme: Tenant, globex: Tenant
) -> None:
    for _ in range(4):
        waits(workflow_of(acme), 50, ago=600)
    waits(workflow_of(globex), 50, ago=1)
    assert tenants_of(claim()) == {acme.pk: 8, globex.pk: 8}


def test_of_more_tenants_than_slots_each_comes_in_turn(db: None) -> None:
    """Who is first is drawn by lot: whoever waited longest is not served first for ever."""
    tenants = [TenantFactory() for _ in range(6)]
    for place, tenant in enumerate(tenants):
        waits(workflow_of(tenant), 100, ago=6000 - 1000 * place)
    served: Counter[UUID] = Counter()
    for _ in range(40):
        served += tenants_of(claim(2))
    assert set(served) == {tenant.pk for tenant in tenants}  # missed by chance: (2/3)^40


def test_slow_calls_of_one_tenant_leave_places_for_others(acme: Tenant, globex: Tenant) -> None:
    waits(workflow_of(acme), 100, ago=600)
    first = claiming.due(limit=SLOTS, spare=SPARE, under_way={})
    assert tenants_of(first) == {acme.pk: SLOTS - SPARE}
    # all of them hang; the worker has four places left, and they are not acme's
    busy = {acme.pk: SLOTS - SPARE}
    assert claiming.due(limit=SPARE, spare=SPARE, under_way=busy) == []
    waits(workflow_of(globex), 100, ago=0)
    second = claiming.due(limit=SPARE, spare=SPARE, under_way=busy)
    assert tenants_of(second) == {globex.pk: 1}


def test_a_place_that_comes_free_goes_to_who_has_fewer(acme: Tenant, globex: Tenant) -> None:
    waits(workflow_of(acme), 100, ago=600)
    waits(workflow_of(globex), 100, ago=0)
    busy = {acme.pk: 10, globex.pk: 2}
    assert tenants_of(claiming.due(limit=6, under_way=busy)) == {globex.pk: 6}


def test_the_worker_counts_what_it_is_calling(acme: Tenant, globex: Tenant) -> None:
    waits(workflow_of(acme), 30, ago=600)
    jobs: list[Any] = []
    execution.run_due(limit=SLOTS, spare=SPARE, submit=jobs.append)
    waits(workflow_of(globex), 30, ago=0)
    execution.run_due(limit=SPARE, spare=SPARE, submit=jobs.append)
    assert len(jobs) == SLOTS - SPARE + 1
    for job in jobs:
        job()  # held at its start: the count goes down all the same
    assert not execution._under_way[acme.pk] + execution._under_way[globex.pk]


@pytest.mark.parametrize("cap", ["vendor", "workflow"])
def test_what_a_full_vendor_or_workflow_holds_is_passed_by(acme: Tenant, cap: str) -> None:
    full = workflow_of(acme, **{cap: 2})
    waits(full, 2, status=Status.IN_PROGRESS)
    held = waits(full, 50, ago=600)
    others = waits(workflow_of(acme), 1, ago=0)
    assert [one.action_id for one in claim()] == others
    with bound(acme.pk):
        mine = Action.objects.for_tenant(acme).filter(pk__in=held)
        # it keeps its place in the queue: nothing was written
        assert set(mine.values_list("version", "lease_token")) == {(1, None)}


def test_a_full_tenant_is_passed_by_and_people_are_told_all_the_same(acme: Tenant) -> None:
    with scoping.platform():
        Tenant.objects.filter(pk=acme.pk).update(max_in_flight=2)
    workflow = workflow_of(acme)
    waits(workflow, 2, status=Status.IN_PROGRESS)
    waits(workflow, 5)
    told = ActionFactory(tenant=acme, action_type="escalate", run_at=clock.read())
    assert [one.action_id for one in claim()] == [told.pk]


def test_of_a_vendor_with_room_for_three_no_more_are_claimed_than_that(acme: Tenant) -> None:
    workflow = workflow_of(acme, vendor=5)
    waits(workflow, 2, status=Status.IN_PROGRESS)
    waits(workflow, 50)
    assert len(claim()) == 3


def counted(statement: str, **parameters: Any) -> dict[str, Any]:
    with scoping.pipeline(), connection.cursor() as cursor:
        cursor.execute("set local enable_seqscan = off")
        cursor.execute(f"explain (analyze, buffers, format json) {statement}", parameters)
        found = cursor.fetchone()[0]
        plan = json.loads(found) if isinstance(found, str) else found
        connection.set_rollback(True)
    return dict(plan[0]["Plan"])


def test_a_claim_costs_the_same_however_many_wait(
    acme: Tenant, globex: Tenant, owner: Owner
) -> None:
    def pages() -> int:
        # As autovacuum would; without, the plan is a guess, and the tests before left dead rows in the index.
        owner.connection.execute("vacuum analyze actions_action")
        plan = counted(claiming.CLAIM, limit=SLOTS, spare=SPARE, busy=[], calls=[])
        used.append(json.dumps(plan))
        return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])

    used: list[str] = []
    big, small = workflow_of(acme), workflow_of(globex)
    one, *_ = waits(big, 50)
    waits(small, 50)
    few = pages()
    many_more(acme, one, 2000, ago=6000)
    many_more(acme, one, 2000, ago=-6000)
    assert pages() < few + 1000  # looked at, each of the four thousand is a page at least
    # Over a hundred rows the planner may take another one; over four thousand it matters.
    assert "action_lane" in used[-1]


def unlimited(tenant: Tenant) -> None:
    """The vendors' rate and budget are not what is tried here: their buckets are rested and large."""
    values = {
        "rate_limit.requests_per_second": 100_000,
        "rate_limit.burst_size": 100_000,
        "retry_budget.floor_per_minute": 100_000,
    }
    with bound(tenant.pk) as now:
        rules.override(
            tenant_id=tenant.pk,
            scope="tenant",
            target="",
            values=values,
            reason="test",
            by=SYSTEM,
            now=now,
        )
        for vendor in Vendor.objects.for_tenant(tenant):
            VendorBucket.objects.create(
                tenant=tenant, vendor=vendor, arrival_at=now - timedelta(hours=1)
            )


def begun(claims: list[Claim]) -> int:
    started = [
        starting.start(tenant_id=one.tenant_id, action_id=one.action_id, token=one.token)
        for one in claims
    ]
    return sum(call is not None for call in started)


@pytest.mark.parametrize("cap", ["tenant", "workflow", "vendor"])
def test_starts_at_once_never_go_above_a_cap(acme: Tenant, cap: str) -> None:
    with scoping.platform():
        Tenant.objects.filter(pk=acme.pk).update(max_in_flight=3 if cap == "tenant" else 100)
    workflow = workflow_of(acme, **({} if cap == "tenant" else {cap: 3}))
    if cap == "tenant":
        vendors = [workflow_of(acme) for _ in range(4)]  # of different vendors: no row is shared
        for one in vendors:
            waits(one, 3)
    else:
        waits(workflow, 12)
    unlimited(acme)
    with bound(acme.pk) as now:
        Action.objects.for_tenant(acme).update(
            lease_token=7, lease_until=now + timedelta(seconds=60)
        )
        ids = list(Action.objects.for_tenant(acme).values_list("pk", flat=True))
    claims = [Claim(acme.pk, pk, 7) for pk in ids]

    assert sum(at_once(4, lambda n: begun(claims[n::4]))) == 3
    with bound(acme.pk):
        mine = Action.objects.for_tenant(acme)
        assert mine.filter(status=Status.IN_PROGRESS).count() == 3
        reasons = set(mine.filter(status=Status.PENDING).values_list("waiting_reason", flat=True))
    assert reasons == {f"3 calls of the {cap} are under way, as many as may be."}
