"""Workers are SIGKILLed in the middle of a campaign's stage: the same totals, and no run is called twice."""

import signal
from collections.abc import Iterator

import pytest

from actions import campaigns
from awfdrs_site.lib import clock
from tests.cast import Travel
from tests.databases import Owner
from tests.faults.ground import PREPARE
from tests.faults.nursery import Nursery, nursery
from tests.faults.table import Row
from tests.journeys.conftest import Stage
from tests.journeys.conftest import stage as stage
from tests.support.campaigns import called, do, drive, fail_many, fates, no_breaker, planned

pytestmark = pytest.mark.faults

N_RUNS = 30
# A worker that sweeps until it dies.
WORK = """
from functools import partial
from actions import execution
from awfdrs_site import poller
def work(points):
    settings.AWF_FAILPOINTS = points
    for _ in range(6):
        poller.sweep_once(poller.sweeps(run_due=partial(execution.run_due, limit=3)))
"""


@pytest.fixture(scope="module")
def workers(owner: Owner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    errors = tmp_path_factory.mktemp("campaign-workers") / "errors"
    with nursery(work=WORK, prepare=PREPARE, errors=errors) as made:
        yield made


def re_drive(
    stage: Stage, time_travel: Travel, workers: Nursery, *, dies_at: str
) -> tuple[dict[str, int], list[str], float]:
    """When a worker dies there in the second stage: what became of the runs, which were called, how long it took."""
    no_breaker(stage)
    campaign = do(
        campaigns.start, planned(stage, fail_many(stage, N_RUNS), stages=(1, "50%", "100%"))
    )
    campaign = drive(stage, campaign, time_travel, rounds=1)  # the canary
    began = clock.read()
    if dies_at:
        assert workers.wait(workers.fork(dies_at)) == -signal.SIGKILL
        time_travel(seconds=70)  # its leases lapse
    campaign = drive(stage, campaign, time_travel)
    assert campaign.status == "completed"
    assert campaign.ended_at is not None
    return fates(campaign), called(stage), (campaign.ended_at - began).total_seconds()


@pytest.mark.parametrize(
    "dies_at",
    [
        "",  # nobody dies: the totals that the others must equal
        "campaign.before_commit=kill9",  # the stage has not begun
        "campaign.before_commit=kill9@2",  # its first calls are not made
        "action.after_claim=kill9",
        "action.after_send_before_result=kill9@2",
        "action.after_result=kill9@2",
    ],
)
def test_whoever_is_killed_the_totals_are_the_same(
    stage: Stage, time_travel: Travel, workers: Nursery, dies_at: str, row: Row
) -> None:
    became, calls, seconds = re_drive(stage, time_travel, workers, dies_at=dies_at)
    assert became == {"recovered": N_RUNS}
    assert len(calls) == len(set(calls)) == N_RUNS
    row.tell(
        f"a worker killed in a campaign at {dies_at}" if dies_at else "the same, nobody killed",
        load=f"{N_RUNS} runs in 3 stages, {len(calls)} called",
        losses=N_RUNS - len(set(calls)),
        story_seconds=seconds,
        control="ended by signal 9" if dies_at else "the totals that the others must equal",
    )


def test_a_call_that_may_not_have_been_sent_is_unknown_and_never_sent_again(
    stage: Stage, time_travel: Travel, workers: Nursery, row: Row
) -> None:
    became, calls, seconds = re_drive(
        stage, time_travel, workers, dies_at="action.after_started_commit=kill9"
    )
    # at most once, whatever the workflow declares: the doubt is said
    assert became == {"recovered": N_RUNS - 1, "unknown": 1}
    assert len(calls) == len(set(calls)) == N_RUNS - 1
    row.tell(
        "a worker killed in a campaign before it sends",
        load=f"{N_RUNS} runs in 3 stages, {len(calls)} called, {became['unknown']} said to be unknown",
        losses=N_RUNS - len(calls) - became["unknown"],
        story_seconds=seconds,
        control="ended by signal 9",
    )
