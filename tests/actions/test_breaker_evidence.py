"""What our own retries tell a vendor's breaker: what came of them, and how long they took."""

import pytest

from actions import execution
from actions.executors.base import Call, Result
from actions.states import ActionType
from tests.cast import Travel
from tests.journeys.conftest import Stage
from tests.journeys.conftest import stage as stage


@pytest.fixture
def slow_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(_: Call) -> Result:
        return Result("succeeded", response_status=200, latency_ms=2001, says_vendor_is="success")

    monkeypatch.setitem(execution.EXECUTORS, ActionType.RETRY, answer)


@pytest.mark.parametrize(("slow_call_ms", "state"), [(2000, "open"), (2001, "closed")])
def test_slow_retries_open_it_although_they_succeed(
    stage: Stage, time_travel: Travel, slow_answers: None, slow_call_ms: int, state: str
) -> None:
    stage.rule(
        "acquirer",
        breaker__failure_threshold=2,
        breaker__slow_call_ms=slow_call_ms,
        breaker__slow_rate_percent=30,
    )
    for run in ("run-1", "run-2"):
        stage.fails(run)
        stage.succeeds("another")  # no two failures in a row
    stage.turn()
    time_travel(seconds=30)
    stage.turn()
    assert stage.breaker().state == state
