"""Completed is not fixed: only the run's own success verifies a call; otherwise people are told (M35)."""

from datetime import datetime
from typing import Any

import pytest

from actions import execution, verification
from actions.executors.base import Result
from actions.models import Action
from actions.states import ActionType, Status, Verification
from awfdrs_site.lib.ids import uuid7
from incidents.models import Incident, Run
from incidents.states import RunState
from tenants import scoping
from tenants.models import Tenant
from tests.cast import Travel, journal_of
from tests.factories import ActionFactory, AttemptFactory, IncidentFactory, RunFactory

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS_UNTIL_JUDGED = 15 * 60


def present(tenant: Tenant) -> datetime:
    with scoping.bound(tenant.pk) as now:
        return now


def called(tenant: Tenant, status: Status = Status.COMPLETED, **fields: Any) -> Action:
    """A call that was sent just now, and ended as `status` says."""
    now = present(tenant)
    incident = IncidentFactory(tenant=tenant, status="analyzing")
    run = RunFactory(
        tenant=tenant,
        workflow=incident.workflow,
        incident=incident,
        state=RunState.RETRY_SCHEDULED,
        attempted_at=now,
    )
    times = {"started_at": now, "settled_at": now, "run_at": now}
    common = {"status": status, "verification": Verification.PENDING, "attempts_made": 1}
    given = times | common | {"tenant": tenant, "incident": incident, "run": run} | fields
    return ActionFactory(**given)


def report(action: Action, **values: Any) -> None:
    """What the ledger has heard of the run, this moment."""
    with scoping.bound(action.tenant_id) as now:
        heard = {name: now if value == "now" else value for name, value in values.items()}
        Run.objects.for_tenant(action.tenant_id).filter(actions=action).update(**heard)


def succeeds(action: Action) -> None:
    report(action, succeeded_at="now", success_event_id=uuid7(), state=RunState.RECOVERED_BY_ACTION)


def again(action: Action) -> Action:
    with scoping.bound(action.tenant_id):
        found: Action = (
            Action.objects.for_tenant(action.tenant_id).select_related("run").get(pk=action.pk)
        )
    return found


def told(tenant: Tenant) -> list[str]:
    """Why people were told."""
    with scoping.bound(tenant.pk):
        mine = Action.objects.for_tenant(tenant).filter(action_type=ActionType.ESCALATE)
        return [action.parameters["reason"] for action in mine.order_by("id")]


@pytest.mark.parametrize("kind", ["retry", "rollback"])
@pytest.mark.parametrize("status", [Status.COMPLETED, Status.UNKNOWN, Status.PENDING])
def test_success_of_the_run_after_the_start_verifies_settled_or_not(
    acme: Tenant, kind: str, status: Status
) -> None:
    action = called(acme, status, action_type=kind)
    succeeds(action)
    verification.verify_due()
    action = again(action)
    assert action.verification == Verification.VERIFIED
    # the call that nobody saw had arrived
    assert action.status == (Status.COMPLETED if status == Status.UNKNOWN else status)
    assert journal_of(acme, action.pk) == ["verified"]
    assert told(acme) == []


def test_a_success_from_before_the_start_proves_nothing(acme: Tenant, time_travel: Travel) -> None:
    early = present(acme)
    time_travel(minutes=1)
    action = called(acme)
    report(action, succeeded_at=early)
    verification.verify_due()
    assert again(action).verification == Verification.PENDING


def test_fifteen_minutes_without_a_success_are_not_verified_and_people_are_told_once(
    acme: Tenant, time_travel: Travel
) -> None:
    action = called(acme)
    time_travel(seconds=SECONDS_UNTIL_JUDGED - 5)
    verification.verify_due()
    assert again(action).verification == Verification.PENDING
    time_travel(seconds=6)
    for _ in range(2):
        verification.verify_due()
    action = again(action)
    assert (action.status, action.verification) == (Status.COMPLETED, Verification.NOT_VERIFIED)
    assert len(told(acme)) == 1
    assert "15 minutes" in told(acme)[0]
    assert journal_of(acme, action.pk) == ["not_verified"]


def test_a_run_that_was_not_verified_is_shown_as_failed_again(
    acme: Tenant, time_travel: Travel
) -> None:
    action = called(acme)
    time_travel(seconds=SECONDS_UNTIL_JUDGED + 1)
    verification.verify_due()
    # "retry scheduled" would say that something is still under way
    run = again(action).run
    assert run is not None
    assert run.state == RunState.FAILED


def test_a_failure_after_the_acceptance_is_not_waited_for(acme: Tenant) -> None:
    action = called(acme)
    report(action, failure_received_at="now")
    verification.verify_due()
    assert again(action).verification == Verification.NOT_VERIFIED
    assert told(acme) == ["The run failed again after its retry was accepted."]


def test_a_compensation_is_named_as_such(acme: Tenant) -> None:
    action = called(acme, action_type="rollback")
    report(action, failure_received_at="now")
    verification.verify_due()
    assert told(acme) == ["The run failed again after its compensation was accepted."]
    run = again(action).run
    assert run is not None
    assert run.state == RunState.RETRY_SCHEDULED  # a compensation does not move its run


@pytest.mark.parametrize("left_by", ["waiver", "ignoring"])
def test_what_people_gave_up_tells_nobody(acme: Tenant, time_travel: Travel, left_by: str) -> None:
    action = called(acme)
    if left_by == "waiver":
        report(action, state=RunState.WAIVED)
    else:
        with scoping.bound(acme.pk):
            Incident.objects.for_tenant(acme).update(status="ignored")
    time_travel(seconds=SECONDS_UNTIL_JUDGED + 1)
    verification.verify_due()
    assert again(action).verification == Verification.NOT_VERIFIED
    assert told(acme) == []


def test_what_failed_or_waits_is_not_judged_by_the_clock(acme: Tenant, time_travel: Travel) -> None:
    left = [called(acme, status) for status in (Status.UNKNOWN, Status.FAILED, Status.PENDING)]
    time_travel(hours=2)
    verification.verify_due()
    assert [again(action).verification for action in left] == [Verification.PENDING] * 3


@pytest.mark.parametrize("ending", ["unknown", "final", "retryable"])
def test_the_run_that_succeeded_counts_for_more_than_the_answer_that_came_late(
    acme: Tenant, ending: Any
) -> None:
    action = called(acme, Status.IN_PROGRESS, lease_token=7, settled_at=None)
    AttemptFactory(tenant=acme, action=action, lease_token=7)
    succeeds(action)
    claim = execution.Claim(acme.pk, action.pk, 7)
    execution.settle(claim, Result(ending, error="No answer came in time."))
    verification.verify_due()
    action = again(action)
    assert (action.status, action.verification) == (Status.COMPLETED, Verification.VERIFIED)
    assert told(acme) == []
