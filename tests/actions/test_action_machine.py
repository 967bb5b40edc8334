"""Whatever people, workers, crashes and time do to a retry: it moves along its table and sends each number once."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from actions import execution, releasing, starting, verification
from actions.execution import Claim
from actions.executors.base import Ending, Result
from actions.models import Action, Attempt
from actions.querysets import ActionQuerySet
from actions.states import ALLOWED, AttemptStatus, Status
from tenants.models import JournalEntry, Tenant
from tenants.scoping import bound
from tests.cast import Api, Travel, key_of
from tests.factories import ActionFactory, IncidentFactory, RunFactory, WorkflowFactory

VERBS = ("approve", "run", "reverse")
FINAL_VERBS = ("reject", "skip")  # no story goes on after them
ENDINGS: tuple[Ending, ...] = ("succeeded", "retryable", "final", "unknown")
PLACES = st.integers(0, 3)  # which of the workers
N_STORIES = 15
LEASE = 70  # a bit longer than one, in seconds
SETTLED = (Status.COMPLETED, Status.FAILED, Status.UNKNOWN, Status.REVERSED)
HELD = (Status.PENDING, Status.IN_PROGRESS)  # where a lease may be


@dataclass(frozen=True)
class World:
    """What every machine shares: one tenant, its key, its clock."""

    tenant: Tenant
    api: Api
    travel: Travel


class ActionMachine(RuleBasedStateMachine):
    """One action; workers hold claims of it, some of them stale, and answer when they like."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.claims: list[Claim] = []  # of workers that have not started
        self.calls: list[Claim] = []  # of workers that have
        self.sent: list[int] = []

    @initialize(
        idempotent=st.sampled_from(("no", "key")),
        status=st.sampled_from((Status.PENDING, Status.AWAITING_APPROVAL)),
    )
    def begin(self, idempotent: str, status: Status) -> None:
        tenant = self.world.tenant
        workflow = WorkflowFactory(
            tenant=tenant, idempotent=idempotent, retry_url="http://127.0.0.1/retry"
        )
        incident = IncidentFactory(tenant=tenant, workflow=workflow)
        run = RunFactory(tenant=tenant, workflow=workflow, incident=incident)
        approved = {"approved_by": "ann"} if status == Status.PENDING else {}
        self.action: Action = ActionFactory(
            tenant=tenant, incident=incident, run=run, status=status, parameters=approved
        )
        self.began_as = str(status)

    @rule()
    def claim(self) -> None:
        execution.run_due(submit=lambda job: None)
        found = self.stored()
        if found.status == Status.PENDING and found.lease_token is not None:
            self.claims.append(Claim(found.tenant_id, found.pk, found.lease_token))

    @precondition(lambda self: self.claims)
    @rule(place=PLACES)
    def start(self, place: int) -> None:
        claim = self.claims.pop(place % len(self.claims))
        call = starting.start(
            tenant_id=claim.tenant_id, action_id=claim.action_id, token=claim.token
        )
        if call is not None:
            self.calls.append(claim)
            self.sent.append(call.attempt)

    @rule(ending=st.sampled_from((*ENDINGS, None)))
    def take(self, ending: Ending | None) -> None:
        """The usual way: a worker comes when it is time, and back with an answer (None: not yet)."""
        self.wait(LEASE)
        self.claim()
        n_calls = len(self.calls)
        if self.claims:
            self.start(-1)
        if ending is not None and len(self.calls) > n_calls:
            self.answer(-1, ending)

    @precondition(lambda self: self.calls)
    @rule(place=PLACES, ending=st.sampled_from(ENDINGS))
    def answer(self, place: int, ending: Ending) -> None:
        """A worker comes back with what it saw, in time or long after."""
        claim = self.calls.pop(place % len(self.calls))
        before = self.stored()
        is_late = before.lease_token != claim.token
        settled = execution.settle(claim, Result(ending, error="as it were"))
        assert (settled is None) == is_late
        assert not is_late or self.stored().version == before.version

    @precondition(lambda self: self.calls)
    @rule(dies=st.booleans())
    def lapse(self, dies: bool) -> None:
        """Whoever calls is found lost; it may be dead, or only slow."""
        self.wait(LEASE)
        if dies:
            self.claims, self.calls = [], []

    @rule(seconds=st.sampled_from((LEASE, 1, 7200)))
    def wait(self, seconds: int) -> None:
        """Time goes by, and the sweeps find what it has changed."""
        self.world.travel(seconds=seconds)
        execution.rescue_lost()
        releasing.release_parked()
        verification.verify_due()

    @rule(verb=st.sampled_from(VERBS))
    def ask(self, verb: str) -> None:
        answer = self.world.api.post(f"/api/v1/actions/{self.action.pk}/{verb}", {})
        assert answer.status_code in (200, 403, 409)

    @precondition(lambda self: self.sent)
    @rule(verb=st.sampled_from(FINAL_VERBS))
    def ask_for_the_end(self, verb: str) -> None:
        self.ask(verb)

    @invariant()
    def what_is_stored_makes_sense(self) -> None:
        with bound(self.world.tenant.pk):
            found = self._mine().get()
            attempts = Attempt.objects.for_tenant(found.tenant_id).filter(action=found)
            numbers = list(attempts.order_by("number").values_list("number", "status"))
            lines = JournalEntry.objects.for_tenant(found.tenant_id).filter(
                subject_type="action", subject_id=str(found.pk)
            )
            details = list(lines.order_by("at", "id").values_list("detail", flat=True))
        self.took_edges_of_the_table(found, details)
        self.numbered_each_attempt_once(found, numbers)
        self.gave_leases_to_who_may_act(found)

    def took_edges_of_the_table(self, found: Action, lines: list[dict[str, Any]]) -> None:
        moves = [(line["before"], line["after"]) for line in lines if "before" in line]
        path = [self.began_as, *(after for _, after in moves)]
        assert moves == list(pairwise(path))  # none is missing
        assert all(after in ALLOWED[before] for before, after in moves)
        assert found.status == path[-1]
        if found.status in SETTLED:
            assert found.settled_at is not None

    def numbered_each_attempt_once(self, found: Action, rows: list[tuple[int, str]]) -> None:
        numbers = [number for number, _ in rows]
        assert numbers == self.sent == [*range(1, found.attempts_made + 1)]
        assert found.attempts_made <= found.attempts_max
        under_way = [number for number, status in rows if status == AttemptStatus.STARTED]
        is_running = found.status == Status.IN_PROGRESS
        assert under_way == [found.attempts_made] * is_running

    def gave_leases_to_who_may_act(self, found: Action) -> None:
        assert (found.lease_token is None) == (found.lease_until is None)
        assert found.lease_token is None or found.status in HELD
        assert found.status != Status.IN_PROGRESS or found.lease_token is not None

    def stored(self) -> Action:
        with bound(self.world.tenant.pk):
            return self._mine().get()

    def _mine(self) -> ActionQuerySet:
        return Action.objects.for_tenant(self.world.tenant).filter(pk=self.action.pk)


@pytest.fixture
def world(transactional_db: None, acme: Tenant, time_travel: Travel) -> World:
    return World(acme, Api(key_of(acme)), time_travel)


def test_a_retry_moves_along_its_table_whatever_happens(world: World) -> None:
    machine = type("Machine", (ActionMachine,), {"world": world})
    bounds = settings(
        max_examples=N_STORIES,
        stateful_step_count=30,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=bounds)


def test_it_finds_a_worker_that_writes_without_its_lease(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = execution.settle

    def unfenced(claim: Claim, result: Result) -> Action | None:
        with bound(claim.tenant_id):
            held = Action.objects.for_tenant(claim.tenant_id).get(pk=claim.action_id)
        return settle(replace(claim, token=held.lease_token or 0), result)

    monkeypatch.setattr(execution, "settle", unfenced)
    machine = type("Machine", (ActionMachine,), {"world": world})()
    machine.begin(idempotent="key", status=Status.PENDING)
    machine.take(None)
    machine.lapse(dies=False)
    machine.take(None)
    assert machine.sent == [1, 2]
    # the positive control of the test above: the first one settles the second one's attempt
    with pytest.raises(AssertionError):
        machine.answer(0, "succeeded")
