"""What people ask for on an incident goes through the same gates, and control actions are done at once."""

from typing import Any

import pytest

from actions.models import Action
from incidents.models import Incident, Run
from tenants import scoping
from tenants.models import Tenant
from tenants.states import Scope
from tests.cast import Api, key_of
from tests.factories import (
    ActionFactory,
    AffectedRunFactory,
    IncidentFactory,
    VendorFactory,
    WorkflowFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def incident(acme: Tenant) -> Incident:
    """One hurt run of a workflow that can be asked again."""
    workflow = WorkflowFactory(tenant=acme, retry_url="https://example.org/again")
    vendor = VendorFactory(tenant=acme, name="stripe")
    incident = IncidentFactory(
        tenant=acme, workflow=workflow, vendor=vendor, status="escalated", unrecovered_runs=1
    )
    AffectedRunFactory(tenant=acme, incident=incident)
    return incident


def ask(tenant: Tenant, incident: Incident, kind: str, *scopes: Scope, **parameters: Any) -> Any:
    body = {"action_type": kind, "parameters": parameters}
    api = Api(key_of(tenant, Scope.READ, Scope.OPERATE, *scopes))
    return api.post(f"/api/v1/incidents/{incident.pk}/actions", body)


def actions_of(tenant: Tenant) -> list[Action]:
    with scoping.bound(tenant.pk):
        return list(Action.objects.for_tenant(tenant).order_by("id"))


def test_the_only_hurt_run_is_retried_without_being_named(acme: Tenant, incident: Incident) -> None:
    answer = ask(acme, incident, "retry")
    assert answer.status_code == 201
    [action] = actions_of(acme)
    assert (action.action_type, action.status, action.attempts_max) == ("retry", "pending", 1)
    assert action.requested_by_id != ""
    ask(acme, incident, "retry")  # asked twice, it comes forward and is not made twice
    assert len(actions_of(acme)) == 1


def test_a_retry_that_is_planned_comes_forward(acme: Tenant, incident: Incident) -> None:
    with scoping.bound(acme.pk):
        run = Run.objects.for_tenant(acme).get(incident=incident)
    planned = ActionFactory(tenant=acme, incident=incident, run=run, status="failed")
    answer = ask(acme, incident, "retry", run=str(run.pk))
    assert (answer.status_code, answer.json()["id"]) == (201, str(planned.pk))
    assert answer.json()["status"] == "pending"


def test_a_workflow_that_cannot_be_asked_is_not(acme: Tenant, incident: Incident) -> None:
    with scoping.bound(acme.pk):
        incident.workflow.retry_url = ""
        incident.workflow.save()
    answer = ask(acme, incident, "retry")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["detail"] == "The workflow has no retry_url."


def test_a_dry_run_makes_nothing(acme: Tenant, incident: Incident) -> None:
    api = Api(key_of(acme, Scope.READ, Scope.OPERATE))
    path = f"/api/v1/incidents/{incident.pk}/actions?dry_run=true"
    answer = api.post(path, {"action_type": "retry"})
    assert (answer.status_code, answer.json()["dry_run"]) == (200, True)
    assert actions_of(acme) == []


def test_controls_need_their_own_scope_and_are_done_at_once(
    acme: Tenant, incident: Incident
) -> None:
    assert ask(acme, incident, "circuit_breaker_open", reason="down").status_code == 403
    opened = ask(acme, incident, "circuit_breaker_open", Scope.CONFIGURE, reason="down")
    assert (opened.status_code, opened.json()["status"]) == (201, "completed")
    stop = ask(acme, incident, "kill_switch_activate", Scope.CONFIGURE, reason="look")
    assert (stop.status_code, stop.json()["status"]) == (201, "completed")
    again = ask(acme, incident, "kill_switch_activate", Scope.CONFIGURE, reason="look")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    switch = stop.json()["result"]["switch"]
    lifted = ask(
        acme, incident, "kill_switch_deactivate", Scope.CONFIGURE, reason="ok", switch=switch
    )
    assert lifted.status_code == 201


@pytest.mark.parametrize("scope", ["global", "action_type", ""])
def test_an_incident_stops_its_own_things_alone(
    acme: Tenant, incident: Incident, scope: str
) -> None:
    answer = ask(
        acme, incident, "kill_switch_activate", Scope.CONFIGURE, reason="look", scope=scope
    )
    assert answer.status_code == (201 if scope == "" else 422)


def test_only_a_retry_of_the_incident_is_rolled_back(acme: Tenant, incident: Incident) -> None:
    other = ActionFactory(tenant=acme, status="completed")
    assert ask(acme, incident, "rollback", action=str(other.pk)).status_code == 422
    ours = ActionFactory(tenant=acme, incident=incident, status="pending")
    refused = ask(acme, incident, "rollback", action=str(ours.pk))
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
