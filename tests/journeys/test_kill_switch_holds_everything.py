"""Story: an operator presses STOP; due retries park, evidence is taken, and a lift releases each once."""

import pytest

from safety import killswitch
from tenants import scoping
from tenants.journal import SYSTEM
from tenants.models import Vendor, Workflow
from tests.journeys.conftest import Stage, Travel


def stop(stage: Stage, scope: str, target: str = "") -> object:
    with scoping.bound(stage.tenant.pk) as now:
        return killswitch.activate(
            tenant_id=stage.tenant.pk,
            scope=scope,
            target=target,
            reason="runaway",
            expires_at=None,
            by=SYSTEM,
            now=now,
        )


def target_of(stage: Stage, scope: str) -> str:
    with scoping.bound(stage.tenant.pk):
        if scope == "workflow":
            return str(Workflow.objects.for_tenant(stage.tenant).get(slug="payouts").pk)
        if scope == "vendor":
            return str(Vendor.objects.for_tenant(stage.tenant).get(name="acquirer").pk)
    return "retry" if scope == "action_type" else ""


@pytest.mark.parametrize("scope", ["tenant", "workflow", "vendor", "action_type"])
def test_stop_holds_every_due_retry_and_a_lift_releases_each_once(
    stage: Stage, time_travel: Travel, scope: str
) -> None:
    stage.waits_a_minute("acquirer")
    for n in range(4):
        stage.fails(f"run-{n}")
    stage.turn()
    switch = stop(stage, scope, target_of(stage, scope))
    time_travel(minutes=2)
    stage.turn()

    # parked, not failed, and it says what for
    assert stage.calls == []
    assert {action.status for action in stage.actions()} == {"parked"}
    assert all("runaway" in action.waiting_reason for action in stage.actions())

    # evidence is never refused
    stage.fails("run-late")
    stage.turn()
    assert [incident.event_count for incident in stage.incidents()] == [5]

    with scoping.bound(stage.tenant.pk) as now:
        killswitch.lift(switch, reason="fixed", by=SYSTEM, now=now)  # type: ignore[arg-type]
    for _ in range(5):
        stage.turn()
        time_travel(seconds=30)
    sent = [call["run_id"] for call in stage.calls]
    assert sorted(sent) == ["run-0", "run-1", "run-2", "run-3", "run-late"]


def test_a_switch_that_expires_lets_go_by_itself(stage: Stage, time_travel: Travel) -> None:
    stage.waits_a_minute("acquirer")
    stage.fails("run-1")
    stage.turn()
    with scoping.bound(stage.tenant.pk) as now:
        killswitch.activate(
            tenant_id=stage.tenant.pk,
            scope="tenant",
            target="",
            reason="lunch",
            expires_at=now.replace(year=now.year + 1),
            by=SYSTEM,
            now=now,
        )
    time_travel(minutes=2)
    stage.turn()
    assert [action.status for action in stage.actions()] == ["parked"]

    time_travel(days=366)
    stage.turn()
    assert [call["run_id"] for call in stage.calls] == ["run-1"]


def test_stop_does_not_silence_the_escalation(
    stage: Stage, mailoutbox: list[object], alice: object
) -> None:
    stop(stage, "tenant")
    stage.fails("run-1", code="unauthorized")
    stage.turn()

    assert [incident.status for incident in stage.incidents()] == ["escalated"]
    assert len(mailoutbox) == 1
