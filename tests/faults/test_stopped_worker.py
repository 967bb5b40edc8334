"""A worker that is SIGSTOPped inside its call past its lease comes back to an action that is not its own any more."""

import os
import signal
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest

from tests.cast import journal_of
from tests.databases import Owner
from tests.faults.ground import PREPARE, WORK, Ground
from tests.faults.ground import ground as ground
from tests.faults.ground import workers as workers
from tests.faults.nursery import Nursery, nursery
from tests.faults.sizes import sized
from tests.faults.table import Row
from tests.support.receiver import Received, Reply

pytestmark = pytest.mark.faults

N_STOPS = sized(small=1, full=20)
# Every column of what a stale worker might write.
_ROWS = "select to_jsonb(action) from actions_action action where action_type = 'retry' order by id"
_ATTEMPTS = "select to_jsonb(attempt) from actions_attempt attempt order by action_id, number"
# No fence: whoever comes with an answer takes the lease that is there.
UNFENCED = """
from dataclasses import replace
from actions import execution
from actions.models import Action
from tenants import scoping
settle = execution.settle
def unfenced(claim, result):
    with scoping.bound(claim.tenant_id):
        held = Action.objects.for_tenant(claim.tenant_id).get(pk=claim.action_id)
    return settle(replace(claim, token=held.lease_token), result)
execution.settle = unfenced
"""


class Held:
    """The workflow answers each attempt when it is told to."""

    def __init__(self, ground: Ground) -> None:
        self.released: dict[str, Flag] = {"1": Flag(), "2": Flag()}
        ground.receiver.answer("/retry", self._answer)

    def _answer(self, request: Received) -> Reply:
        return Reply(after=self.released[request.headers["x-awfdrs-attempt"]])


def rows(owner: Owner) -> list[Any]:
    return [owner.connection.execute(query).fetchall() for query in (_ROWS, _ATTEMPTS)]


def stop_in_its_call(ground: Ground, workers: Nursery) -> int:
    """A worker that has sent its request, and is stopped until after its lease."""
    pid = workers.fork()
    ground.receiver.wait_for(1)
    os.kill(pid, signal.SIGSTOP)
    ground.broke_now()
    ground.lapse()
    return pid


def wake_up(held: Held, workers: Nursery, pid: int) -> None:
    held.released["1"].set()
    os.kill(pid, signal.SIGCONT)
    assert workers.wait(pid) == 0


@pytest.mark.parametrize("_", range(N_STOPS))
def test_what_others_settled_meanwhile_stays_as_it_is(
    ground: Ground, workers: Nursery, owner: Owner, _: int, row: Row
) -> None:
    ground.due(1, idempotent="no")
    held = Held(ground)
    pid = stop_in_its_call(ground, workers)
    ground.stage.turn()
    assert list(ground.said().values()) == ["unknown"]
    before = rows(owner)
    wake_up(held, workers, pid)

    # no stale write, and the answer nobody waited for is there to be read
    assert rows(owner) == before
    [action] = ground.stage.actions()
    assert journal_of(ground.stage.tenant, action.pk)[-1] == "late_result"
    n_sent = ground.reached().total()
    assert n_sent == 1
    row.tell(
        "a worker stopped inside its call past its lease",
        load="1 retry that may go once, settled by another as unknown",
        losses=n_sent - 1,
        story_seconds=ground.well_after(),
        control="its late answer came, and is noted",
    )


def take_over(ground: Ground, workers: Nursery) -> int:
    """Another worker finds the attempt lost and sends the next one, which is under way."""
    ground.stage.turn()
    ground.lapse()
    pid = workers.fork()
    ground.receiver.wait_for(2)
    return pid


def test_an_attempt_under_way_is_not_settled_by_the_one_before(
    ground: Ground, workers: Nursery, owner: Owner, row: Row
) -> None:
    ground.due(1, idempotent="key")
    held = Held(ground)
    stopped = stop_in_its_call(ground, workers)
    other = take_over(ground, workers)
    before = rows(owner)
    wake_up(held, workers, stopped)
    assert rows(owner) == before
    held.released["2"].set()
    assert workers.wait(other) == 0
    assert list(ground.said().values()) == ["completed"]
    reached = ground.reached()
    assert set(reached.values()) == {1}
    row.tell(
        "the same while another worker's attempt is under way",
        load="1 retry that may go again, 2 attempts",
        losses=2 - reached.total(),
        story_seconds=ground.well_after(),
        control="without a fence: below",
    )


def test_without_a_fence_the_one_before_would_settle_it(
    ground: Ground, workers: Nursery, owner: Owner, tmp_path: Path, row: Row
) -> None:
    ground.due(1, idempotent="key")
    held = Held(ground)
    with nursery(work=UNFENCED + WORK, prepare=PREPARE, errors=tmp_path / "errors") as unfenced:
        stopped = stop_in_its_call(ground, unfenced)
        other = take_over(ground, workers)
        before = rows(owner)
        wake_up(held, unfenced, stopped)
        # the positive control of the test above: a stale write
        assert rows(owner) != before
        row.tell(
            "the same without a fence",
            load="1 retry that may go again, 2 attempts",
            losses=1,
            control="a stale write over the attempt under way, as it must",
        )
        held.released["2"].set()
        workers.wait(other)
