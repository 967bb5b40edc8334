"""Story: a vendor goes down, its breaker opens, probes, closes, and the runs recover without a person."""

from safety.states import BreakerStatus
from tests.cast import journal_of
from tests.journeys.conftest import Stage, Travel

RUNS = [f"run-{n}" for n in range(8)]


def test_an_outage_opens_the_breaker_and_the_runs_recover_by_themselves(
    stage: Stage, time_travel: Travel
) -> None:
    stage.rule("acquirer", breaker__failure_threshold=5, breaker__timeout_seconds=60)
    for run in RUNS:
        stage.fails(run)
    stage.turn()

    # five failures in a row open it: nothing is sent while it is open, however due the retries are
    assert stage.breaker().state == BreakerStatus.OPEN
    time_travel(seconds=50)
    stage.turn()
    assert stage.calls == []
    assert stage.states() == ["retry_scheduled"] * 8

    # the time is over: exactly three probes go out at once, the others wait for their answers
    time_travel(seconds=20)
    stage.turn()
    assert stage.breaker().state == BreakerStatus.CLOSED
    for _ in range(20):
        time_travel(seconds=2)
        stage.turn()
    assert sorted(call["run_id"] for call in stage.calls) == RUNS

    # accepted is not recovered: only the runs' own success is
    [incident] = stage.incidents()
    assert incident.status == "analyzing"
    for run in RUNS:
        stage.succeeds(run)
    stage.turn()
    [incident] = stage.incidents()
    assert stage.states() == ["recovered_by_action"] * 8
    assert {action.verification for action in stage.actions()} == {"verified"}
    assert incident.status == "resolved"
    assert incident.resolved_reason == "All 8 affected runs have recovered."
    breaker = stage.breaker()
    assert journal_of(stage.tenant, breaker.pk) == [
        "breaker_opened",
        "breaker_half_opened",
        "breaker_closed",
    ]


def test_a_run_that_keeps_failing_exhausts_its_retries_and_people_are_told(
    stage: Stage, time_travel: Travel, mailoutbox: list[object], alice: object
) -> None:
    stage.recovers = False
    stage.fails("run-1", code="payment_gateway_error")
    for _ in range(4):
        stage.turn()
        time_travel(seconds=60)

    # two attempts are what the rule allows, with one key for both
    assert [call["attempt"] for call in stage.calls] == [1, 2]
    keys = {request.headers["idempotency-key"] for request in stage.receiver.requests}
    assert len(keys) == 1
    [incident] = stage.incidents()
    assert incident.status == "escalated"
    assert "All 2 attempts failed" in incident.escalated_reason
    assert len(mailoutbox) == 1

    # a success that comes later still counts
    stage.succeeds("run-1")
    stage.turn()
    [incident] = stage.incidents()
    assert incident.status == "resolved"
    assert stage.states() == ["recovered_by_action"]


def test_an_accepted_retry_without_success_is_not_verified_after_fifteen_minutes(
    stage: Stage, time_travel: Travel
) -> None:
    stage.fails("run-1")
    stage.turn()
    time_travel(seconds=10)
    stage.turn()
    [action] = stage.actions()
    assert (action.status, action.verification) == ("completed", "pending")

    time_travel(minutes=16)
    stage.turn()
    [action] = stage.actions()
    [incident] = stage.incidents()
    assert action.verification == "not_verified"
    assert incident.status == "escalated"


def test_a_run_that_recovers_alone_is_not_retried(stage: Stage, time_travel: Travel) -> None:
    stage.waits_a_minute("acquirer")
    stage.fails("run-1")
    stage.turn()
    stage.succeeds("run-1")
    stage.turn()
    time_travel(minutes=5)
    stage.turn()

    assert stage.calls == []
    assert stage.states() == ["recovered_auto"]
    assert [action.status for action in stage.actions()] == ["skipped"]
    assert [incident.status for incident in stage.incidents()] == ["resolved"]
