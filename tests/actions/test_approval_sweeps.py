"""A request for permission ends by time, recovery or an edit, and people hear of it once."""

from datetime import timedelta
from typing import Any

import pytest

from actions import approval_sweeps, approvals, voting
from actions.models import Action, Approval
from actions.states import Status
from incidents.models import Incident, Run
from incidents.states import RunState
from tenants import scoping
from tenants.journal import SYSTEM, Actor
from tenants.models import Tenant, Workflow
from tests.cast import Travel, journal_of
from tests.factories import ActionFactory, IncidentFactory, RunFactory, WorkflowFactory

pytestmark = pytest.mark.django_db

ANN = Actor("user", "2", "ann")


@pytest.fixture
def incident(acme: Tenant) -> Incident:
    workflow = WorkflowFactory(tenant=acme, retry_url="https://a.example/", idempotent="no")
    return IncidentFactory(tenant=acme, workflow=workflow)


def waiting(incident: Any, *, is_asked: bool = True) -> Action:
    run = RunFactory(
        tenant=incident.tenant,
        workflow=incident.workflow,
        incident=incident,
        state=RunState.RETRY_SCHEDULED,
    )
    action = ActionFactory(
        tenant=incident.tenant, incident=incident, run=run, status=Status.AWAITING_APPROVAL
    )
    if is_asked:
        with scoping.bound(incident.tenant.pk) as now:
            approvals.ask([action], by=SYSTEM, now=now)
    return action


def rows(tenant: Tenant, model: Any, **wanted: Any) -> Any:
    with scoping.bound(tenant.pk):
        return list(model.objects.for_tenant(tenant).filter(**wanted).order_by("id"))


def recover(action: Action) -> None:
    with scoping.bound(action.tenant_id):
        mine = Run.objects.for_tenant(action.tenant_id).filter(actions=action)
        mine.update(state=RunState.RECOVERED_AUTO)


def test_what_nobody_decided_in_time_is_skipped_and_escalated_once(
    acme: Tenant, incident: Incident, time_travel: Travel
) -> None:
    one, other = waiting(incident), waiting(incident)
    assert approval_sweeps.expire_due() == 0
    time_travel(hours=24)
    assert [approval_sweeps.expire_due() for _ in range(2)] == [1, 0]
    [approval] = rows(acme, Approval)
    assert approval.status == "expired"
    why = "Nobody decided within 24 hours whether it may run."
    found = {(a.status, a.waiting_reason) for a in rows(acme, Action, action_type="retry")}
    assert found == {("skipped", why)}
    [told] = rows(acme, Action, action_type="escalate")
    assert told.parameters["reason"] == why
    [after] = rows(acme, Incident)
    assert (after.status, after.escalated_reason) == ("escalated", why)
    assert [run.state for run in rows(acme, Run)] == ["failed", "failed"]
    assert journal_of(acme, approval.pk) == ["asked", "expired"]
    assert journal_of(acme, one.pk) == journal_of(acme, other.pk) == ["expired"]


def test_the_tenant_says_how_long_people_have(
    acme: Tenant, incident: Incident, time_travel: Travel
) -> None:
    with scoping.platform():
        Tenant.objects.filter(pk=acme.pk).update(approval_hours=2)
    waiting(incident)
    [approval] = rows(acme, Approval)
    assert approval.expires_at - approval.created_at == timedelta(hours=2)
    time_travel(hours=2)
    approval_sweeps.keep_due()
    assert [a.status for a in rows(acme, Approval)] == ["expired"]


def test_a_run_that_recovered_needs_no_permission(acme: Tenant, incident: Incident) -> None:
    one, other = waiting(incident), waiting(incident)
    recover(one)
    approval_sweeps.keep_due()
    left = {a.pk: (a.status, a.waiting_reason) for a in rows(acme, Action)}
    assert left == {
        one.pk: ("skipped", voting.RECOVERED),
        other.pk: ("awaiting_approval", ""),
    }
    assert [a.status for a in rows(acme, Approval)] == ["waiting"]
    recover(other)
    approval_sweeps.keep_due()
    # nothing is asked any more, and nobody is called for it
    [approval] = rows(acme, Approval)
    assert (approval.status, approval.void_reason) == ("void", {"waiting": [2, 0]})
    assert rows(acme, Action, action_type="escalate") == []


def test_edited_terms_are_asked_about_anew_before_anybody_votes(
    acme: Tenant, incident: Incident
) -> None:
    action = waiting(incident)
    with scoping.bound(acme.pk):
        Workflow.objects.for_tenant(acme).update(retry_url="https://b.example/")
    approval_sweeps.keep_due()
    approval_sweeps.keep_due()
    old, new = rows(acme, Approval)
    assert (old.status, old.void_reason) == (
        "void",
        {"call": ["https://a.example/", "https://b.example/"]},
    )
    assert (new.status, new.terms["call"]) == ("waiting", "https://b.example/")
    assert [a.approval_id for a in rows(acme, Action)] == [new.pk]
    with scoping.bound(acme.pk) as now:
        assert voting.approve_action(action, by=ANN, now=now).status == "pending"


def test_what_waits_and_was_never_asked_about_is_asked_about(
    acme: Tenant, incident: Incident
) -> None:
    # an action of before there were approvals, or whose start broke between the two
    waiting(incident, is_asked=False)
    approval_sweeps.keep_due()
    approval_sweeps.keep_due()
    [approval] = rows(acme, Approval)
    assert [a.approval_id for a in rows(acme, Action)] == [approval.pk]
    assert approval.status == "waiting"
