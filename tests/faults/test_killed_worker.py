"""After a worker was SIGKILLed in doubt, people are told; the matrix of failpoints is in test_failpoint_matrix.py."""

import pytest

from actions import execution
from actions.executors.base import Result
from actions.models import Attempt
from tenants import scoping
from tests.cast import journal_of
from tests.faults.ground import Ground
from tests.faults.ground import ground as ground
from tests.faults.ground import workers as workers
from tests.faults.nursery import Nursery
from tests.faults.table import Row

pytestmark = pytest.mark.faults


@pytest.mark.smoke
def test_an_attempt_in_doubt_escalates_its_incident(
    ground: Ground, workers: Nursery, row: Row
) -> None:
    ground.due(1, idempotent="no")
    ground.kill_each(workers, "action.after_started_commit", times=1)
    ground.recover()

    # it may or may not have arrived: never again without a person, and that is what it says
    stage = ground.stage
    with scoping.bound(stage.tenant.pk):
        mine = Attempt.objects.for_tenant(stage.tenant).filter(action__action_type="retry")
        assert [attempt.status for attempt in mine] == ["unknown"]
    [incident] = stage.incidents()
    assert incident.status == "escalated"
    assert "unknown" in incident.escalated_reason
    row.tell(
        "a worker killed before it sends",
        load="1 retry that may go once: people are told of its doubt",
        losses=ground.reached().total(),  # what may have been sent and was sent again
        story_seconds=ground.well_after(),
        control="ended by signal 9",
    )


def test_a_claim_of_a_dead_worker_holds_until_its_lease_lapses(
    ground: Ground, workers: Nursery, row: Row
) -> None:
    ground.due(1, idempotent="key")
    ground.kill_each(workers, "action.after_claim", times=1)
    ground.stage.turn()
    assert ground.reached() == {}
    ground.lapse()
    ground.stage.turn()
    assert [number for _, number in ground.reached()] == [1]
    row.tell(
        "a worker killed with its claim",
        load="1 retry",
        losses=1 - ground.reached().total(),
        story_seconds=ground.well_after(),
        control="nothing is sent while the lease lasts",
    )


def test_a_late_result_is_noted_and_changes_nothing(ground: Ground, row: Row) -> None:
    ground.due(1, idempotent="key")
    stage = ground.stage
    stage.turn()
    [before] = stage.actions()
    stale = execution.Claim(stage.tenant.pk, before.pk, token=1)

    assert execution.settle(stale, Result("final", error="late")) is None
    [after] = stage.actions()
    assert (after.status, after.version) == (before.status, before.version)
    assert journal_of(stage.tenant, after.pk)[-1] == "late_result"
    row.tell(
        "an answer that comes when its action is settled",
        load="1 retry",
        losses=after.version - before.version,
        control="the answer is noted",
    )
