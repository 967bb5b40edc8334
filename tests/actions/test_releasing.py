"""What a kill switch held: what a lift would do, who is let through meanwhile, and at what pace the rest comes back."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.utils import timezone

from actions import canary, claiming, holding, releasing, starting
from actions.canary import NotHeld
from actions.lifecycle import ActionRefused
from actions.models import Action, Attempt
from actions.states import Status
from incidents.states import RunState
from safety import killswitch
from safety.killswitch import Held
from safety.models import KillSwitch
from safety.previews import LiftPreview
from tenants import scoping
from tenants.journal import Actor
from tenants.models import JournalEntry, Tenant, Workflow
from tenants.scoping import bound
from tests.cast import Travel, journal_of
from tests.factories import (
    ActionFactory,
    ApprovalFactory,
    CampaignFactory,
    IncidentFactory,
    RunFactory,
    WorkflowFactory,
)

pytestmark = pytest.mark.django_db(transaction=True)
ANN = Actor("user", "1", "ann")
ALLOWED = {"approved_by": "alice"}  # so that nothing but the switch holds it


@pytest.fixture
def workflow(acme: Tenant) -> Workflow:
    return WorkflowFactory(tenant=acme, slug="refunds", idempotent="key")


def parked(workflow: Workflow, n: int = 1, **fields: Any) -> list[Action]:
    """Retries that a switch has parked, each of a run that failed."""
    tenant = workflow.tenant
    incident = fields.pop("incident", None) or IncidentFactory(tenant=tenant, workflow=workflow)
    state = fields.pop("state", RunState.RETRY_SCHEDULED)
    return [
        ActionFactory(
            tenant=tenant,
            workflow=workflow,
            incident=incident,
            run=RunFactory(tenant=tenant, workflow=workflow, incident=incident, state=state),
            **{"status": Status.PARKED, "run_at": timezone.now(), "parameters": ALLOWED} | fields,
        )
        for _ in range(n)
    ]


def stop(tenant: Tenant, scope: str = "tenant", target: str = "", **fields: Any) -> KillSwitch:
    with bound(tenant.pk) as now:
        return killswitch.activate(
            tenant_id=tenant.pk,
            scope=scope,
            target=target,
            reason="runaway",
            **{"expires_at": None, "by": ANN, "now": now} | fields,
        )


def lift(switch: KillSwitch, **pace: int) -> None:
    with bound(switch.tenant_id) as now:
        killswitch.lift(switch, reason="over", by=ANN, now=now, **pace)


def stored(tenant: Tenant) -> list[Action]:
    with bound(tenant.pk):
        return list(Action.objects.for_tenant(tenant).order_by("run_at", "id"))


def apart(times: Sequence[datetime]) -> list[float]:
    return [(after - before).total_seconds() for before, after in pairwise(times)]


# --- the pace ------------------------------------------------------------------------------------


def test_what_was_held_comes_back_in_turn_and_every_row_says_when(workflow: Workflow) -> None:
    acme = workflow.tenant
    parked(workflow, 7)
    switch = stop(acme)
    assert releasing.release_parked() == 0
    lift(switch)
    assert releasing.release_parked() == 7
    actions = stored(acme)
    assert {action.status for action in actions} == {"pending"}
    assert apart([action.run_at for action in actions]) == [0.2] * 6
    assert all("turn after the kill switch" in action.waiting_reason for action in actions)
    with bound(acme.pk):
        told = JournalEntry.objects.for_tenant(acme).filter(verb="released")
        assert [line.detail["switches"] for line in told] == [[str(switch.pk)]] * 7


def test_whoever_lifts_it_says_how_fast(workflow: Workflow) -> None:
    acme = workflow.tenant
    parked(workflow, 3)
    lift(stop(acme), release_per_second=2)
    releasing.release_parked()
    assert apart([action.run_at for action in stored(acme)]) == [0.5, 0.5]


def test_lanes_of_one_switch_share_its_pace_and_later_ones_queue_behind(
    acme: Tenant, workflow: Workflow
) -> None:
    parked(workflow, 2)
    parked(WorkflowFactory(tenant=acme, slug="payouts"), 2)
    lift(stop(acme))
    assert releasing.release_parked() == 4
    parked(workflow, 1)
    assert releasing.release_parked() == 1
    assert apart([action.run_at for action in stored(acme)]) == [0.2] * 4


def test_what_expires_lets_go_in_turn_too(workflow: Workflow, time_travel: Travel) -> None:
    acme = workflow.tenant
    with bound(acme.pk) as now:
        soon = now + timedelta(minutes=1)
    stop(acme, expires_at=soon)
    parked(workflow, 3)
    assert releasing.release_parked() == 0
    time_travel(minutes=2)
    assert releasing.release_parked() == 3
    assert apart([action.run_at for action in stored(acme)]) == [0.2, 0.2]


def test_the_platforms_switch_gives_each_tenant_its_own_back_at_its_pace(
    workflow: Workflow, globex: Tenant
) -> None:
    acme = workflow.tenant
    theirs = WorkflowFactory(tenant=globex, slug="payouts")
    parked(workflow, 2)
    parked(theirs, 2)
    with scoping.platform() as now:
        switch = killswitch.activate_global(reason="all", expires_at=None, by=ANN, now=now)
    assert releasing.release_parked() == 0
    with scoping.platform() as now:
        killswitch.lift_global(switch, reason="over", by=ANN, now=now, release_per_second=1)
    assert releasing.release_parked() == 4
    for tenant in (acme, globex):
        assert apart([action.run_at for action in stored(tenant)]) == [1.0]


def test_late_workers_start_no_more_in_a_second_than_the_pace(
    workflow: Workflow, time_travel: Travel
) -> None:
    acme = workflow.tenant
    parked(workflow, 8)
    lift(stop(acme), release_per_second=3)
    releasing.release_parked()
    time_travel(minutes=1)  # all are long due: nobody worked meanwhile
    for _ in range(4):
        start_due(acme)
        time_travel(minutes=2)
    with bound(acme.pk):
        begun = list(Attempt.objects.for_tenant(acme).order_by("started_at"))
    assert len(begun) == 8
    for one, third_after in zip(begun, begun[3:], strict=False):
        assert third_after.started_at - one.started_at >= timedelta(seconds=1)


def test_one_that_waits_for_its_pace_says_so(workflow: Workflow, time_travel: Travel) -> None:
    acme = workflow.tenant
    parked(workflow, 2)
    lift(stop(acme), release_per_second=1)
    releasing.release_parked()
    time_travel(minutes=1)
    start_due(acme)
    waiting = next(action for action in stored(acme) if action.status == Status.PENDING)
    assert waiting.waiting_reason == ("Release of what was held: 1 a second after the kill switch.")
    # its place is its own until it has started
    assert canary.RELEASED in waiting.parameters
    [begun] = [action for action in stored(acme) if action.status == Status.IN_PROGRESS]
    assert canary.RELEASED not in begun.parameters


def test_what_is_held_elsewhere_does_not_keep_the_rest(
    acme: Tenant, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = WorkflowFactory(tenant=acme, slug="payouts")
    parked(other, 5)
    stop(acme, "workflow", str(other.pk))
    parked(workflow, 2)
    monkeypatch.setattr(releasing, "LANES", 1)
    assert releasing.release_parked(limit=1) == 2


def test_what_recovered_meanwhile_is_skipped_and_takes_no_place(workflow: Workflow) -> None:
    acme = workflow.tenant
    parked(workflow, 1, state=RunState.RECOVERED_AUTO)
    parked(workflow, 2)
    lift(stop(acme))
    releasing.release_parked()
    actions = stored(acme)
    assert sorted(action.status for action in actions) == ["pending", "pending", "skipped"]
    pending = [action.run_at for action in actions if action.status == Status.PENDING]
    assert apart(pending) == [0.2]


def test_what_a_paused_campaign_holds_is_let_go_by_resuming_it(workflow: Workflow) -> None:
    acme = workflow.tenant
    parked(workflow, 1, campaign=CampaignFactory(tenant=acme, status="paused"))
    assert releasing.release_parked() == 0
    assert [action.status for action in stored(acme)] == ["parked"]


# --- previews ------------------------------------------------------------------------------------


def active(tenant: Tenant) -> list[Held]:
    with bound(tenant.pk) as now:
        return killswitch.active(tenant.pk, now=now)


def test_a_lift_is_previewed(acme: Tenant, workflow: Workflow) -> None:
    parked(workflow, 3)
    parked(workflow, 2, state=RunState.RECOVERED_AUTO)
    ignored = IncidentFactory(tenant=acme, workflow=workflow, status="ignored")
    parked(workflow, 1, incident=ignored)
    parked(workflow, 1, approval=ApprovalFactory(tenant=acme, status="void"))
    parked(workflow, 1, attempts_made=3, attempts_max=3)
    parked(workflow, 1, approval=ApprovalFactory(tenant=acme, status="approved"))
    other = WorkflowFactory(tenant=acme, slug="payouts")
    parked(other, 2)
    wide, narrow = stop(acme), stop(acme, "workflow", str(other.pk))
    with bound(acme.pk):
        previews = holding.lifts(acme.pk, active(acme))
        counts = holding.counts(acme.pk, active(acme))
    assert previews[wide.pk] == LiftPreview(
        held=11, would_run=4, superseded=3, expired=2, still_held=2
    )
    # the wide one holds those of the narrow one too
    assert previews[narrow.pk] == LiftPreview(held=2, still_held=2)
    assert counts == {wide.pk: 11, narrow.pk: 2}


def test_a_stop_is_previewed(acme: Tenant, workflow: Workflow) -> None:
    parked(workflow, 2, status=Status.PENDING)
    parked(workflow, 1, status=Status.IN_PROGRESS)
    parked(WorkflowFactory(tenant=acme, slug="payouts"), 1, status=Status.PENDING)
    ActionFactory(tenant=acme, action_type="escalate", status=Status.PENDING)
    with bound(acme.pk):
        wide = holding.stop(acme.pk, "tenant", "")
        narrow = holding.stop(acme.pk, "workflow", str(workflow.pk))
        telling = holding.stop(acme.pk, "action_type", "escalate")
    assert (wide.would_hold, wide.under_way) == (3, 1)
    assert wide.by_workflow == {"refunds": 2, "payouts": 1}
    assert narrow.by_type == {"retry": 2}
    assert telling.by_type == {"escalate": 1}


# --- the canary ----------------------------------------------------------------------------------


def let_through(action: Action) -> Action:
    with bound(action.tenant_id) as now:
        return canary.let_through(action, reason="try one", by=ANN, now=now)


def start_due(tenant: Tenant) -> None:
    for claim in claiming.due(limit=50, under_way={}):
        starting.start(tenant_id=tenant.pk, action_id=claim.action_id, token=claim.token)


def test_one_is_let_through_while_the_switch_stays(workflow: Workflow) -> None:
    acme = workflow.tenant
    one, other = parked(workflow, 2)
    stop(acme)
    let_through(one)
    let_through(one)  # two people, one outcome
    start_due(acme)
    states = {action.pk: action for action in stored(acme)}
    assert (states[one.pk].status, states[other.pk].status) == ("in_progress", "parked")
    # the gate shows who and why, and the journal keeps it
    gate = next(gate for gate in states[one.pk].gates if gate["name"] == "kill_switch")
    assert (gate["passed"], gate["value"]) == (True, "let through by ann: try one")
    assert journal_of(acme, one.pk) == ["canary", "started"]
    # it was for this start only
    assert canary.CANARY not in states[one.pk].parameters


def test_a_switch_set_afterwards_holds_the_canary_again(workflow: Workflow) -> None:
    acme = workflow.tenant
    [one] = parked(workflow)
    stop(acme)
    let_through(one)
    stop(acme, "workflow", str(workflow.pk))
    start_due(acme)
    assert [action.status for action in stored(acme)] == ["parked"]


def test_only_what_a_switch_holds_is_let_through(workflow: Workflow) -> None:
    [one] = parked(workflow)
    with pytest.raises(NotHeld):
        let_through(one)
    [under_way] = parked(workflow, status=Status.IN_PROGRESS)
    with pytest.raises(ActionRefused):
        let_through(under_way)
