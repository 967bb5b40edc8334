"""Permission over HTTP: what waits, the plan it is for, and votes that say which plan they saw."""

from typing import Any

import pytest

from actions import approvals
from actions.models import Action
from actions.states import Status
from tenants import scoping
from tenants.journal import SYSTEM
from tenants.models import Tenant
from tenants.states import Scope
from tests.cast import Api, key_of, signed_in
from tests.factories import ActionFactory, IncidentFactory, WorkflowFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(acme: Tenant) -> Api:
    return Api(key_of(acme, Scope.READ, Scope.OPERATE))


@pytest.fixture
def incident(acme: Tenant) -> Any:
    workflow = WorkflowFactory(
        tenant=acme, slug="refunds", retry_url="https://refunds.example/", idempotent="no"
    )
    return IncidentFactory(tenant=acme, workflow=workflow)


def waiting(incident: Any, **fields: Any) -> Action:
    action = ActionFactory(
        tenant=incident.tenant, incident=incident, status=Status.AWAITING_APPROVAL, **fields
    )
    with scoping.bound(incident.tenant.pk) as now:
        approvals.ask([action], by=SYSTEM, now=now)
    return action


def test_what_waits_is_listed_with_its_terms_and_filtered(api: Api, incident: Any) -> None:
    action = waiting(incident)
    other = waiting(IncidentFactory(tenant=incident.tenant))
    [item] = api.get(f"/api/v1/approvals?incident={incident.pk}&status=waiting").json()["results"]
    assert item["id"] == str(action.approval_id)
    assert (item["terms"]["workflow"], item["terms"]["call"]) == (
        "refunds",
        "https://refunds.example/",
    )
    assert len(api.get("/api/v1/approvals").json()["results"]) == 2
    assert api.get("/api/v1/approvals?status=approved").json()["results"] == []
    [found] = api.get(f"/api/v1/actions?approval={other.approval_id}").json()["results"]
    assert found["approval_id"] == str(other.approval_id)


def test_a_vote_says_which_plan_it_saw(api: Api, incident: Any) -> None:
    action = waiting(incident)
    url = f"/api/v1/approvals/{action.approval_id}"
    shown = api.get(url).json()
    assert (shown["n_actions"], shown["n_waiting"], shown["votes"]) == (1, 1, [])
    waiting(incident)
    stale = api.post(f"{url}/approve", {"plan_hash": "0" * 64})
    assert (stale.status_code, stale.json()["code"]) == (409, "plan_changed")
    assert (stale.json()["n_actions"], stale.json()["changed"]) == (2, {})
    done = api.post(f"{url}/approve", {"plan_hash": shown["plan_hash"], "reason": "checked"})
    assert (done.status_code, done.json()["status"]) == (200, "approved")
    assert [(v["by"], v["is_for"], v["reason"]) for v in done.json()["votes"]] == [
        ("key test", True, "checked")
    ]
    statuses = [a["status"] for a in api.get("/api/v1/actions").json()["results"]]
    assert sorted(statuses) == ["awaiting_approval", "pending"]


def test_a_dry_run_decides_nothing(api: Api, incident: Any) -> None:
    url = f"/api/v1/approvals/{waiting(incident).approval_id}"
    for verb, body in (("approve", {}), ("reject", {"reason": "no"})):
        dry = api.post(f"{url}/{verb}?dry_run=true", body)
        assert (dry.status_code, dry.json()["dry_run"]) == (200, True)
        assert dry.json()["status"] in ("approved", "rejected")
    assert api.get(url).json()["status"] == "waiting"


def test_rejecting_needs_a_reason_and_is_final(api: Api, incident: Any) -> None:
    url = f"/api/v1/approvals/{waiting(incident).approval_id}"
    assert api.post(f"{url}/reject", {}).status_code == 422
    assert api.post(f"{url}/reject", {"reason": "paid by hand"}).json()["status"] == "rejected"
    late = api.post(f"{url}/approve", {})
    assert (late.status_code, late.json()["code"]) == (409, "transition_refused")


def test_whoever_asked_is_told_that_somebody_else_decides(
    api: Api, incident: Any, alice: Any
) -> None:
    action = waiting(incident, requested_by="alice", requested_by_id=str(alice.pk))
    mine = signed_in(alice)
    for path in (
        f"approvals/{action.approval_id}/approve",
        f"actions/{action.pk}/approve",
        f"actions/{action.pk}/run",
    ):
        answer = mine.post(f"/api/v1/{path}", "{}", content_type="application/json")
        assert (answer.status_code, answer.json()["code"]) == (403, "own_request")
    assert api.post(f"/api/v1/actions/{action.pk}/approve").json()["status"] == "pending"


def test_one_action_is_approved_as_it_was_seen(api: Api, incident: Any) -> None:
    action = waiting(incident)
    url = f"/api/v1/actions/{action.pk}"
    stale = api.post(f"{url}/approve", {"plan_hash": "0" * 64})
    assert (stale.status_code, stale.json()["code"]) == (409, "plan_changed")
    refused = api.post(f"{url}/approve", {"plan_hash": "short"})
    assert refused.status_code == 422
    seen = api.get(url).json()["plan_hash"]
    assert api.post(f"{url}/approve", {"plan_hash": seen}).json()["status"] == "pending"
