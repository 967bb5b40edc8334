"""Calls that settle in one transaction: each comes to what it comes to alone, and none harms another."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from threading import Event
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from actions import ended, execution, settling, starting, verdicts
from actions.executors.base import Result
from actions.models import Action, Attempt
from actions.settling import Ended
from actions.states import Status
from awfdrs_site.lib import clock
from incidents.models import Incident, Run
from safety import breaker
from safety.models import CircuitBreaker
from tenants.models import JournalEntry, Tenant
from tenants.scoping import bound
from tests.support.starting import World
from tests.support.starting_cases import half_open
from tests.threads import PATIENCE_SECONDS, at_once

pytestmark = pytest.mark.django_db

DONE = Result("succeeded", response_status=200, says_vendor_is="success", latency_ms=40)
BUSY = Result(
    "retryable", error="The workflow answered 503.", response_status=503, says_vendor_is="failure"
)
REFUSED = Result("final", error="The workflow answered 400.", response_status=400)
UNSEEN = Result("unknown", error="No answer came in time.", says_vendor_is="failure")


def mixed(world: World) -> list[Result]:
    """One of each, of two workflows; the fourth ran out of attempts, the fifth's run is seen to have succeeded."""
    world.change([3], attempts_max=1)
    with bound(world.tenant.pk):
        mine = Run.objects.for_tenant(world.tenant).filter(run_id="run-4")
        mine.update(succeeded_at=world.now + timedelta(seconds=1))
    return [DONE, BUSY, REFUSED, BUSY, UNSEEN, UNSEEN]


def opening(world: World) -> list[Result]:
    """The second of three failures of a vendor opens its breaker; what comes after it is of an older epoch."""
    world.ample(breaker__failure_threshold=2)
    return [BUSY, DONE, BUSY, BUSY, DONE, DONE]


def probes(world: World) -> list[Result]:
    """As many successes of probes as close it."""
    half_open(world)
    return [DONE] * 6


def failed_probe(world: World) -> list[Result]:
    half_open(world)
    return [BUSY, DONE, DONE, DONE, DONE, DONE]


CASES = [mixed, opening, probes, failed_probe]


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """Everything happens at one and the same moment, and the dice fall one way."""
    moment = clock.read()

    @contextmanager
    def at_the_moment(tenant_id: UUID, *, durable: bool = False) -> Iterator[datetime]:
        with bound(tenant_id, durable=durable):
            yield moment

    for module in (starting, settling):
        monkeypatch.setattr(module, "scoping", SimpleNamespace(bound=at_the_moment))
    monkeypatch.setattr(starting, "random", lambda: 0.5)
    monkeypatch.setattr(verdicts, "random", lambda: 0.5)
    monkeypatch.setattr(breaker, "random", SimpleNamespace(random=lambda: 0.5))
    return moment


def calling(world: World, case: Callable[[World], Sequence[Result]]) -> list[Ended]:
    """All that may are under way; what each of those comes back with."""
    world.rest()
    results = case(world)
    made = starting.start_many(tenant_id=world.tenant.pk, claims=world.claims())
    pairs = zip(world.claims(), results, strict=True)
    return [Ended(claim, result) for claim, result in pairs if made[claim.action_id]]


def told(world: World) -> list[Any]:
    """What became of each call and of all that hears of it, without ids."""
    with bound(world.tenant.pk):
        mine = Action.objects.for_tenant(world.tenant).select_related("run").in_bulk()
        lines = JournalEntry.objects.for_tenant(world.tenant).order_by("at", "id")
        of_actions = list(lines.filter(subject_type="action").values_list("subject_id", "verb"))
        incidents = Incident.objects.for_tenant(world.tenant).order_by("workflow__slug")
        others = mine.keys() - {action.pk for action in world.actions}
        return [
            *(_told(mine[action.pk], of_actions) for action in world.actions),
            *incidents.values_list("status", "escalated_reason", "escalated_at", "version"),
            sorted((mine[pk].action_type, mine[pk].parameters["reason"]) for pk in others),
            *(
                _breaker(row)
                for row in CircuitBreaker.objects.for_tenant(world.tenant).order_by("vendor__name")
            ),
            *lines.filter(subject_type="circuitbreaker").values_list(
                "verb", "detail", "correlation_id"
            ),
        ]


def _told(action: Action, lines: Sequence[tuple[str, str]]) -> tuple[Any, ...]:
    run = action.run
    assert run is not None
    attempts = Attempt.objects.for_tenant(action.tenant_id).filter(action=action)
    seen = ("status", "response_status", "response_excerpt", "error", "latency_ms", "finished_at")
    return (
        *(action.status, action.verification, action.waiting_reason, action.result, action.version),
        *(action.attempts_made, action.run_at, action.settled_at, action.lease_token),
        (run.state, run.version),
        list(attempts.values_list(*seen)),
        [verb for pk, verb in lines if pk == str(action.pk)],
    )


def _breaker(row: CircuitBreaker) -> tuple[Any, ...]:
    told = ("state", "epoch", "failures", "successes", "opened_because", "open_until", "window")
    return (*(getattr(row, name) for name in told), len(row.probes))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_together_each_comes_to_what_it_comes_to_alone(
    acme: Tenant, globex: Tenant, moment: datetime, case: Callable[[World], Sequence[Result]]
) -> None:
    alone, together = World(acme, moment), World(globex, moment)
    for one in calling(alone, case):
        settling.settle_many(tenant_id=acme.pk, ended=[one])
    calls = calling(together, case)
    before = told(together)
    settling.settle_many(tenant_id=globex.pk, ended=calls)
    assert told(together) == told(alone)
    # What the case is about shows, or nothing is compared.
    assert len(calls) > 2
    assert told(together) != before


@pytest.mark.django_db(transaction=True)
def test_who_ends_while_one_settles_is_in_the_next_and_one_that_breaks_harms_none(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(acme, clock.read())
    calls = calling(world, lambda _: [DONE] * 6)
    lost, broken = calls[1].claim, calls[2].claim.action_id
    world.change([1], lease_token=lost.token + 1)
    sizes: list[int] = []
    settle_many, judge = settling.settle_many, verdicts.judge

    def counted(*, tenant_id: UUID, ended: Sequence[Ended]) -> dict[UUID, Action | None]:
        sizes.append(len(ended))
        if len(sizes) == 1:
            wait_for_the_others(tenant_id)
        return settle_many(tenant_id=tenant_id, ended=ended)

    def breaks(action: Action, result: Result, *, now: datetime) -> verdicts.Settled:
        if action.pk == broken:
            raise RuntimeError("its policy is of an unknown kind")
        return judge(action, result, now=now)

    monkeypatch.setattr(settling, "settle_many", counted)
    monkeypatch.setattr(verdicts, "judge", breaks)
    at_once(6, lambda number: settled(calls[number]))
    assert sizes == [1, 5, 1, 1, 1, 1, 1]
    with bound(acme.pk):
        left = Action.objects.for_tenant(acme).filter(status=Status.IN_PROGRESS)
        assert set(left.values_list("pk", flat=True)) == {lost.action_id, broken}
        lines = JournalEntry.objects.for_tenant(acme).filter(subject_id=str(lost.action_id))
        assert list(lines.order_by("at").values_list("verb", flat=True)) == [
            "started",
            "late_result",
        ]
    assert not ended._waiting


def wait_for_the_others(tenant_id: UUID) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(ended._waiting[tenant_id]) < 5:
        assert time.monotonic() < deadline
        Event().wait(0.005)


def settled(one: Ended) -> None:
    with suppress(RuntimeError):
        execution.settle(one.claim, one.result)
