"""Vendors, breakers, kill switches and rules over HTTP."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from safety.models import GlobalKillSwitch
from tenants import scoping
from tenants.models import Tenant
from tenants.states import Role, Scope
from tests.cast import Api, key_of, signed_in
from tests.factories import (
    ActionFactory,
    MembershipFactory,
    UserFactory,
    VendorFactory,
    WorkflowFactory,
)
from tests.support.problem_answers import members

SWITCHES, VENDORS = "/api/v1/kill-switches", "/api/v1/vendors"
LONG_AGO = "2020-01-01T00:00:00Z"


@pytest.fixture
def api(acme: Tenant) -> Api:
    return Api(key_of(acme, Scope.READ, Scope.CONFIGURE))


@pytest.fixture
def platform_admin(acme: Tenant) -> Client:
    admin: User = UserFactory(is_superuser=True, is_staff=True)
    MembershipFactory(tenant=acme, user=admin, role=Role.ADMIN)
    return signed_in(admin)


def test_a_vendor_that_was_never_called_has_a_closed_breaker_and_its_window(
    api: Api, acme: Tenant
) -> None:
    VendorFactory(tenant=acme, name="twilio")
    breaker = api.get(VENDORS).json()["results"][0]["breaker"]
    assert (breaker["state"], breaker["failures"], breaker["forced"]) == ("closed", 0, "")
    # the numbers of the shipped rules
    assert (breaker["failure_threshold"], breaker["half_open_requests"]) == (8, 2)


def test_a_breaker_is_forced_and_handed_back(api: Api, acme: Tenant) -> None:
    path = f"{VENDORS}/{VendorFactory(tenant=acme).pk}/breaker"
    forced = api.post(path, {"state": "forced_open", "reason": "they are down"}).json()["breaker"]
    assert (forced["state"], forced["forced"], forced["forced_reason"]) == (
        "open",
        "forced_open",
        "they are down",
    )
    freed = api.post(path, {"state": "auto", "reason": "they are back"}).json()["breaker"]
    assert (freed["state"], freed["forced"]) == ("half_open", "")


@pytest.mark.parametrize(
    "body",
    [
        {"state": "forced_open"},
        {"state": "open", "reason": "x"},
        {"state": "shadow", "reason": "x", "expires_at": LONG_AGO},
        {"state": "shadow", "reason": "x", "expires_at": "soon"},
        {"state": "shadow", "reason": "x", "vendor": "y"},
    ],
)
def test_a_force_without_sense_is_refused(api: Api, acme: Tenant, body: dict[str, Any]) -> None:
    path = f"{VENDORS}/{VendorFactory(tenant=acme).pk}/breaker"
    assert api.post(path, body).status_code == 422
    assert api.get(VENDORS).json()["results"][0]["breaker"]["version"] == 1


def test_a_switch_takes_a_slug_or_an_id_and_is_lifted_once(api: Api, acme: Tenant) -> None:
    workflow = WorkflowFactory(tenant=acme, slug="refunds")
    made = api.post(SWITCHES, {"scope": "workflow", "target": "refunds", "reason": "look"})
    assert made.status_code == 201
    assert (made.json()["target"], made.json()["is_active"]) == (str(workflow.pk), True)
    by_id = {"scope": "workflow", "target": str(workflow.pk).upper(), "reason": "again"}
    assert members(api.post(SWITCHES, by_id))["code"] == "conflict"
    lift = f"{SWITCHES}/{made.json()['id']}/lift"
    assert api.post(lift, {}).status_code == 422
    lifted = api.post(lift, {"reason": "looked"}).json()
    assert (lifted["is_active"], lifted["lift_reason"]) == (False, "looked")
    # lifting twice is a quiet no-op: the first reason stays
    assert api.post(lift, {"reason": "again"}).json()["lift_reason"] == "looked"
    assert [one["is_active"] for one in api.get(SWITCHES).json()["results"]] == [False]


@pytest.mark.parametrize(
    "body",
    [
        {"scope": "tenant"},
        {"scope": "tenant", "reason": "x", "target": "y"},
        {"scope": "workflow", "reason": "x"},
        {"scope": "workflow", "reason": "x", "target": "nobody"},
        {"scope": "vendor", "reason": "x", "target": "nobody"},
        {"scope": "action_type", "reason": "x", "target": "explode"},
        {"scope": "planet", "reason": "x"},
        {"scope": "tenant", "reason": "x", "expires_at": LONG_AGO},
    ],
)
def test_a_switch_that_would_hold_nothing_is_refused(
    api: Api, acme: Tenant, body: dict[str, Any]
) -> None:
    assert api.post(SWITCHES, body).status_code == 422
    assert api.get(SWITCHES).json()["count"] == 0


def test_a_switch_of_another_tenants_workflow_is_refused(
    api: Api, acme: Tenant, globex: Tenant
) -> None:
    theirs = WorkflowFactory(tenant=globex)
    body = {"scope": "workflow", "target": str(theirs.pk), "reason": "x"}
    assert api.post(SWITCHES, body).status_code == 422


def test_a_dry_run_of_a_switch_stops_nothing(api: Api, acme: Tenant) -> None:
    answer = api.post(f"{SWITCHES}?dry_run=true", {"scope": "tenant", "reason": "try"})
    assert (answer.status_code, answer.json()["dry_run"]) == (200, True)
    assert api.get(SWITCHES).json()["count"] == 0


def test_the_global_switch_needs_a_platform_administrator(api: Api, platform_admin: Client) -> None:
    body = {"scope": "global", "reason": "all of it"}
    assert api.post(SWITCHES, body).status_code == 403
    made = platform_admin.post(SWITCHES, body, content_type="application/json")
    assert (made.status_code, made.json()["scope"]) == (201, "global")
    # every tenant may see that it is on
    assert [one["reason"] for one in api.get(SWITCHES).json()["platform"]] == ["all of it"]
    lift = f"{SWITCHES}/{made.json()['id']}/lift"
    assert api.post(lift, {"reason": "no"}).status_code == 403
    lifted = platform_admin.post(lift, {"reason": "over"}, content_type="application/json")
    assert (lifted.status_code, lifted.json()["is_active"]) == (200, False)
    assert api.get(SWITCHES).json()["platform"] == []


def test_a_stolen_password_of_staff_stops_everything_and_sets_nothing_going_again(
    platform_admin: Client, settings: Settings
) -> None:
    settings.STAFF_NEEDS_SECOND_STEP = True
    body = {"scope": "global", "reason": "all of it"}
    made = platform_admin.post(SWITCHES, body, content_type="application/json")
    assert made.status_code == 201
    for dry in ("", "?dry_run=true"):
        lift = f"{SWITCHES}/{made.json()['id']}/lift{dry}"
        refused = platform_admin.post(lift, {"reason": "over"}, content_type="application/json")
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    with scoping.platform():
        assert GlobalKillSwitch.objects.get().lifted_at is None


def test_a_dry_run_of_the_global_switch_stops_nobody(platform_admin: Client) -> None:
    path = f"{SWITCHES}?dry_run=true"
    body = {"scope": "global", "reason": "try"}
    answer = platform_admin.post(path, body, content_type="application/json")
    assert (answer.status_code, answer.json()["dry_run"]) == (200, True)
    with scoping.platform():
        assert not GlobalKillSwitch.objects.exists()


def test_rules_in_force_name_the_source_of_every_value(api: Api) -> None:
    answer = api.get("/api/v1/rules/effective?vendor=stripe&error_code=payment_timeout&workflow=x")
    values = answer.json()["values"]
    assert values["severity"] == {
        "value": "high",
        "source": "code payment_timeout in error_codes.yaml",
    }
    assert "vendor stripe" in values["breaker.failure_threshold"]["source"]
    assert all(value["source"] for value in values.values())


@pytest.mark.parametrize("query", ["category=bogus", "colour=red", "vendor=%00"])
def test_rules_of_a_senseless_question_are_refused(api: Api, query: str) -> None:
    assert api.get(f"/api/v1/rules/effective?{query}").status_code == 422


def test_a_stop_and_its_lift_are_previewed_by_dry_runs(api: Api, acme: Tenant) -> None:
    workflow = WorkflowFactory(tenant=acme, slug="refunds")
    ActionFactory(tenant=acme, workflow=workflow, status="pending")
    body = {"scope": "workflow", "target": "refunds", "reason": "look"}
    tried = api.post(f"{SWITCHES}?dry_run=true", body).json()
    assert tried["preview"] == {
        "would_hold": 1,
        "under_way": 0,
        "by_type": {"retry": 1},
        "by_workflow": {"refunds": 1},
    }
    made = api.post(SWITCHES, body).json()
    assert "preview" not in made
    ActionFactory(tenant=acme, workflow=workflow, status="parked", action_type="rollback")
    lift = f"{SWITCHES}/{made['id']}/lift"
    previewed = api.post(f"{lift}?dry_run=true", {"reason": "looked"}).json()["preview"]
    assert previewed == {
        "held": 1,
        "would_run": 1,
        "superseded": 0,
        "expired": 0,
        "still_held": 0,
    }
    assert api.get(SWITCHES).json()["results"][0]["is_active"]


@pytest.mark.parametrize(
    ("pace", "status"), [(1, 200), (100, 200), (0, 422), (101, 422), ("5", 422)]
)
def test_whoever_lifts_says_how_fast_within_reason(
    api: Api, acme: Tenant, pace: Any, status: int
) -> None:
    made = api.post(SWITCHES, {"scope": "tenant", "reason": "look"}).json()
    body = {"reason": "looked", "release_per_second": pace}
    assert api.post(f"{SWITCHES}/{made['id']}/lift", body).status_code == status


def test_one_held_action_is_let_through_with_a_reason(api: Api, acme: Tenant) -> None:
    held = ActionFactory(tenant=acme, status="parked")
    path = f"/api/v1/actions/{held.pk}/canary"
    assert members(api.post(path, {"reason": "try one"}))["code"] == "conflict"  # nothing holds it
    api.post(SWITCHES, {"scope": "tenant", "reason": "look"})
    assert api.post(path, {}).status_code == 422
    assert api.post(path, {"reason": "try one"}).json()["status"] == "pending"
    operator = Api(key_of(acme, Scope.READ, Scope.OPERATE))
    # who may not stop may let nothing past a stop
    assert operator.post(path, {"reason": "try one"}).status_code == 403
