"""Story: what may not run twice waits for a person; what cannot be retried goes to people at once."""

from pytest_django import Settings

from actions import voting
from tenants import scoping
from tenants.journal import Actor
from tests.cast import submit
from tests.journeys.conftest import Stage, Travel


def fail(stage: Stage, workflow: str, **payload: str) -> None:
    submit(stage.tenant, workflow=workflow, run_id="run-1", payload=payload)


def test_a_workflow_that_is_not_idempotent_waits_for_approval(
    stage: Stage, time_travel: Travel, alice: object
) -> None:
    stage.opens("refunds", idempotent="no")
    fail(stage, "refunds", error_code="timeout", vendor="acquirer")
    stage.turn()
    time_travel(minutes=5)
    stage.turn()
    [action] = stage.actions()
    assert action.status == "awaiting_approval"
    assert stage.calls == []

    with scoping.bound(stage.tenant.pk) as now:
        voting.approve_action(action, by=_alice(), now=now)
    stage.turn()
    assert [call["workflow"] for call in stage.calls] == ["refunds"]


def test_a_workflow_without_retry_url_escalates_once_and_says_so(stage: Stage) -> None:
    for _ in range(3):
        fail(stage, "legacy", error_code="timeout")
        stage.turn()
    [incident] = stage.incidents()
    assert incident.status == "escalated"
    assert "no retry URL" in incident.escalated_reason
    assert len(stage.actions("escalate")) == 1


def test_switched_off_auto_retry_makes_every_retry_wait(
    stage: Stage, time_travel: Travel, settings: Settings
) -> None:
    settings.ENABLE_AUTO_RETRY = False
    stage.fails("run-1")
    stage.turn()
    time_travel(minutes=5)
    stage.turn()
    assert [action.status for action in stage.actions()] == ["awaiting_approval"]
    assert stage.calls == []


def test_a_declined_card_is_only_watched(stage: Stage, time_travel: Travel) -> None:
    stage.fails("run-1", code="card_declined")
    stage.turn()
    time_travel(hours=1)
    stage.turn()
    [incident] = stage.incidents()
    assert incident.status == "detected"
    assert stage.actions() == [] == stage.actions("escalate")


def test_a_storm_plans_the_first_runs_and_no_more(stage: Stage) -> None:
    with scoping.platform():
        type(stage.tenant).objects.filter(pk=stage.tenant.pk).update(storm_runs=3)
    for n in range(5):
        stage.fails(f"run-{n}")
    stage.turn()
    stage.fails("run-5")
    stage.turn()
    assert len(stage.actions()) == 3
    assert sorted(stage.states()) == ["failed"] * 3 + ["retry_scheduled"] * 3


def test_flushall_in_the_middle_changes_nothing_but_latency(
    stage: Stage, time_travel: Travel
) -> None:
    from django_redis import get_redis_connection

    stage.fails("run-1")
    get_redis_connection("default").flushall()  # this worker's own Valkey
    stage.turn()
    get_redis_connection("default").flushall()
    time_travel(minutes=1)
    stage.turn()
    get_redis_connection("default").flushall()
    stage.succeeds("run-1")
    stage.turn()
    assert [incident.status for incident in stage.incidents()] == ["resolved"]
    assert len(stage.calls) == 1


def _alice() -> Actor:
    return Actor("user", "1", "alice")
