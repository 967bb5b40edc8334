"""Workers are SIGKILLed at every point of a retry's way: nothing is sent twice, and every doubt is said."""

from collections import Counter
from pathlib import Path

import pytest

from tests.faults.ground import PREPARE, WORK, Ground
from tests.faults.ground import ground as ground
from tests.faults.ground import workers as workers
from tests.faults.nursery import Nursery, nursery
from tests.faults.sizes import sized
from tests.faults.table import Row

pytestmark = pytest.mark.faults

N_KILLS = sized(small=2, full=50)  # at each point
# How many requests a worker that dies there leaves behind. mid_send: the head has left, the body has not.
LEAVES = {
    "action.after_claim": 0,
    "action.after_started_commit": 0,
    "action.mid_send": 1,
    "action.after_send_before_result": 1,
    "action.after_result": 1,
}
IN_DOUBT = ("action.after_started_commit", "action.mid_send", "action.after_send_before_result")
# What a first implementation does: it remembers the attempt when the answer has come, so a crash forgets it.
FORGETS = """
from contextlib import contextmanager
from types import SimpleNamespace
from django.db import transaction
from actions import starting
from tenants import scoping
@contextmanager
def forgotten(tenant_id, **kind):
    with scoping.bound(tenant_id, **kind) as now:
        yield now
        transaction.set_rollback(True)
starting.scoping = SimpleNamespace(bound=forgotten)
"""


@pytest.mark.parametrize("at", LEAVES)
def test_a_target_that_is_not_idempotent_is_never_called_twice(
    ground: Ground, workers: Nursery, at: str, row: Row
) -> None:
    ground.due(N_KILLS, idempotent="no")
    ground.kill_each(workers, at, times=N_KILLS)
    ground.receiver.wait_for(LEAVES[at] * N_KILLS)
    assert ground.reached().total() == LEAVES[at] * N_KILLS
    ground.recover()

    said = ground.said()
    n_calls = Counter(key for key, _ in ground.reached().elements())
    assert len(said) == N_KILLS
    assert max(n_calls.values(), default=0) <= 1
    # every run that may have had no call says so
    assert {said[key] for key in said if not n_calls[key]} <= {"unknown"}
    assert set(said.values()) == {"unknown" if at in IN_DOUBT else "completed"}
    row.tell(
        f"{N_KILLS} workers killed at {at}",
        load=f"{N_KILLS} retries that may go once: {Counter(said.values()).most_common(1)[0][0]}",
        losses=sum(n - 1 for n in n_calls.values() if n > 1) + N_KILLS - len(said),
        story_seconds=ground.well_after(),
        control=f"{N_KILLS} ended by signal 9, {n_calls.total()} requests reached it",
    )


@pytest.mark.parametrize("at", LEAVES)
def test_a_target_that_is_idempotent_is_called_again_with_the_same_key(
    ground: Ground, workers: Nursery, at: str, row: Row
) -> None:
    ground.due(N_KILLS, idempotent="key")
    ground.kill_each(workers, at, times=N_KILLS)
    ground.receiver.wait_for(LEAVES[at] * N_KILLS)
    ground.recover()

    reached, said = ground.reached(), ground.said()
    assert set(said.values()) == {"completed"}
    # at most one request for an attempt; a second attempt only where the first is in doubt
    assert max(reached.values()) == 1
    numbers = {1} if at not in IN_DOUBT else {1, 2} if LEAVES[at] else {2}
    assert set(reached) == {(key, number) for key in said for number in numbers}
    row.tell(
        f"{N_KILLS} workers killed at {at}",
        load=f"{N_KILLS} retries that may go again: {reached.total()} requests",
        losses=N_KILLS - len({key for key, _ in reached}),
        story_seconds=ground.well_after(),
        control=f"{N_KILLS} ended by signal 9",
    )


def test_without_an_attempt_committed_first_the_same_kills_send_twice(
    ground: Ground, tmp_path: Path, row: Row
) -> None:
    ground.due(N_KILLS, idempotent="no")
    with nursery(work=FORGETS + WORK, prepare=PREPARE, errors=tmp_path / "errors") as made:
        ground.kill_each(made, "action.after_send_before_result", times=N_KILLS)
    ground.recover()

    # the positive control of the tests above
    reached = ground.reached()
    assert set(reached.values()) == {2}
    row.tell(
        "the same kills, and attempts that are not committed first",
        load=f"{N_KILLS} retries that may go once",
        losses=sum(n - 1 for n in reached.values()),
        control=f"{len(reached)} sent twice, as they must",
    )
