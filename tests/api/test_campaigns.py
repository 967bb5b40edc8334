"""Campaigns over HTTP: planned from an incident or a query, strictly read, moved by verbs."""

from typing import Any

import pytest

from actions.models import Campaign, CampaignRun
from incidents.models import Incident
from tenants import scoping
from tenants.models import Tenant, Workflow
from tests.cast import (
    Api,
    digest_all,
    event,
    failure,
    key_of,
    only_incident,
    submit_all,
)
from tests.support.problem_answers import members

PATH = "/api/v1/campaigns"


@pytest.fixture
def api(acme: Tenant) -> Api:
    return Api(key_of(acme))


@pytest.fixture
def incident(acme: Tenant) -> Incident:
    """Three hurt runs, of which the third came back by itself."""
    submit_all(acme, [event(run_id=f"r-{n}", payload=failure()) for n in (1, 2, 3)])
    digest_all()
    submit_all(acme, [event(run_id="r-3", event_type="payment.completed", payload={})])
    digest_all()
    with scoping.bound(acme.pk):
        Workflow.objects.for_tenant(acme).update(
            retry_url="https://workflow.example/retry", idempotent="key"
        )
    return only_incident(acme)


def stored(tenant: Tenant) -> int:
    with scoping.bound(tenant.pk):
        return int(Campaign.objects.for_tenant(tenant).count())


def test_the_plan_of_an_incident_says_who_is_called_and_why_others_are_not(
    api: Api, acme: Tenant, incident: Incident
) -> None:
    answer = api.post(PATH, {"incident": str(incident.pk)})
    plan = answer.json()
    assert answer.status_code == 201
    assert (plan["status"], plan["incident_id"]) == ("planned", str(incident.pk))
    assert (plan["eligible"], plan["ineligible"]) == (2, {"recovered": 1})
    assert [stage["n_runs"] for stage in plan["stages"]] == [1, 1]
    assert plan["progress"]["eligible"] == 2
    assert plan["needs_another"] == ""
    assert api.get(f"{PATH}/{plan['id']}").json() == plan
    [listed] = api.get(f"{PATH}?status=planned&incident={incident.pk}").json()["results"]
    assert listed["plan_hash"] == plan["plan_hash"]
    # every run, in the order of calling
    runs = api.get(f"{PATH}/{plan['id']}/runs").json()["results"]
    assert [(run["run"], run["state"], run["reason"]) for run in runs] == [
        ("r-1", "eligible", ""),
        ("r-2", "eligible", ""),
        ("r-3", "ineligible", "recovered"),
    ]
    assert api.get(f"{PATH}/{plan['id']}/runs?state=ineligible").json()["count"] == 1


def test_a_dry_run_plans_and_keeps_nothing(api: Api, acme: Tenant, incident: Incident) -> None:
    answer = api.post(f"{PATH}?dry_run=true", {"incident": str(incident.pk)})
    assert (answer.status_code, answer.json()["dry_run"]) == (200, True)
    assert answer.json()["eligible"] == 2
    assert stored(acme) == 0
    with scoping.bound(acme.pk):
        assert CampaignRun.objects.for_tenant(acme).count() == 0


@pytest.mark.parametrize(
    ("query", "eligible"),
    [
        ({"state": "failed"}, 2),
        ({"workflow": "checkout"}, 2),
        ({"workflow": "nobody"}, 0),
        ({"state": "recovered_auto", "workflow": "checkout"}, 0),
    ],
)
def test_a_query_finds_what_the_list_of_runs_finds(
    api: Api, incident: Incident, query: dict[str, str], eligible: int
) -> None:
    plan = api.post(PATH, {"query": query}).json()
    listed = api.get("/api/v1/runs?" + "&".join(f"{k}={v}" for k, v in query.items())).json()
    assert plan["eligible"] == eligible
    assert plan["eligible"] + sum(plan["ineligible"].values()) == listed["count"]
    assert plan["query"] == query


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"query": {"state": "gone"}}, "/query/state"),
    ({"query": {"colour": "red"}}, "/query/colour"),
    ({"query": {}}, "/query"),
    ({"incident": "INC-1"}, "/incident"),
    ({"incident": "00000000-0000-4000-8000-00000000dead"}, "/incident"),
    ({"query": {"state": "failed"}, "force": True}, "/force"),
    ({"query": {"state": "failed"}, "parameters": {"stage": [1]}}, "/parameters/stage"),
    ({"query": {"state": "failed"}, "parameters": {"stages": []}}, "/parameters/stages"),
    ({"query": {"state": "failed"}, "parameters": {"stages": [1]}}, "/parameters/stages"),
    ({"query": {"state": "failed"}, "parameters": {"failure_share": 2}}, "/parameters"),
    ({"query": {"state": "failed"}, "parameters": {"failure_share": True}}, "/parameters"),
    ({"query": {"state": "failed"}, "parameters": {"verify_seconds": 5}}, "/parameters"),
    ({"query": {"state": "failed"}, "parameters": {"verify_seconds": "60"}}, "/parameters"),
    ({"query": {"state": "failed"}, "parameters": {"stages": ["101%", "100%"]}}, "/parameters"),
    ({"query": {"state": "failed"}, "parameters": {"stages": [0, "100%"]}}, "/parameters"),
    ({"query": {"state": "failed"}, "parameters": {"stages": [True, "100%"]}}, "/parameters"),
]


@pytest.mark.parametrize(("body", "pointer"), WRONG)
def test_what_cannot_be_meant_is_refused_and_pointed_at(
    api: Api, acme: Tenant, incident: Incident, body: dict[str, Any], pointer: str
) -> None:
    answer = api.post(PATH, body)
    found = members(answer)
    assert (answer.status_code, found["code"]) == (422, "validation_failed")
    assert any(error["pointer"].startswith(pointer) for error in found["errors"])
    assert stored(acme) == 0


def test_an_incident_and_a_query_together_are_refused(api: Api, incident: Incident) -> None:
    both = {"incident": str(incident.pk), "query": {"state": "failed"}}
    assert api.post(PATH, both).status_code == 422


def test_terms_are_kept_as_they_were_said(api: Api, incident: Incident) -> None:
    terms = {"stages": [1, "50%", "100%"], "failure_share": 0, "verify_seconds": 60}
    plan = api.post(PATH, {"incident": str(incident.pk), "parameters": terms}).json()
    assert plan["parameters"] == terms


def test_verbs_move_it_and_say_what_is_allowed_where_they_do_not(
    api: Api, incident: Incident
) -> None:
    one = f"{PATH}/{api.post(PATH, {'incident': str(incident.pk)}).json()['id']}"
    refused = api.post(f"{one}/pause")
    assert (refused.status_code, members(refused)["code"]) == (409, "transition_refused")
    assert members(refused)["allowed"] == ["start", "abort"]
    for verb, status in (
        ("start", "running"),
        ("pause", "paused"),
        ("resume", "running"),
        ("abort", "aborted"),
    ):
        tried = api.post(f"{one}/{verb}?dry_run=true").json()
        assert (tried["status"], tried["dry_run"]) == (status, True)
        answer = api.post(f"{one}/{verb}", {"reason": "seen"} if verb != "start" else None)
        assert (answer.status_code, answer.json()["status"]) == (200, status)
        assert api.post(f"{one}/{verb}").status_code == 200  # being there is quiet
    assert api.get(one).json()["progress"]["left"] == 2


def test_who_planned_calls_that_may_do_harm_cannot_start_them(
    api: Api, acme: Tenant, incident: Incident
) -> None:
    with scoping.bound(acme.pk):
        Workflow.objects.for_tenant(acme).update(idempotent="no")
    plan = api.post(PATH, {"incident": str(incident.pk)}).json()
    assert "checkout" in plan["needs_another"]
    refused = api.post(f"{PATH}/{plan['id']}/start")
    assert (refused.status_code, members(refused)["code"]) == (409, "conflict")
    # Another key is not another person: nobody made either.
    assert Api(key_of(acme)).post(f"{PATH}/{plan['id']}/start").status_code == 409
    other = Api(key_of(acme, made_by="ann"))
    assert other.post(f"{PATH}/{plan['id']}/start").json()["status"] == "running"
