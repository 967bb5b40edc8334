"""Incidents over HTTP: found, shown, moved as the table allows, and never behind somebody's back."""

from typing import Any

import pytest

from incidents.models import Incident
from tenants.models import Tenant
from tests.cast import (
    Api,
    decide_all,
    digest_all,
    event,
    failure,
    journal_of,
    key_of,
    only_incident,
    submit,
)
from tests.factories import IncidentFactory
from tests.support.problem_answers import members

LIST = "/api/v1/incidents"


@pytest.fixture
def api(acme: Tenant) -> Api:
    return Api(key_of(acme))


@pytest.fixture
def incident(acme: Tenant) -> Incident:
    """One failed run of a workflow without a retry URL."""
    submit(acme, run_id="r-1")
    digest_all()
    return only_incident(acme)


def patch(api: Api, incident: Incident, body: Any, **headers: str) -> Any:
    return api.call("PATCH", f"{LIST}/{incident.pk}/status", body, **headers)


def test_an_item_has_the_fields_of_the_contract(api: Api, incident: Incident) -> None:
    page = api.get(LIST).json()
    assert {"count", "next", "previous", "results"} == set(page)
    item = page["results"][0]
    promised = """id number tenant_id title status severity category error_code error_signature signature_version
        workflow vendor event_count affected_runs unrecovered_runs first_seen_at last_seen_at acknowledged_at assignee
        snoozed_until regression_count version"""
    assert set(promised.split()) <= set(item)
    assert item["number"] == f"INC-{incident.number}"
    assert (item["workflow"], item["vendor"]) == ("checkout", "stripe")
    assert item["first_seen_at"].endswith("Z")


def test_the_detail_adds_analysis_decisions_and_what_is_next(api: Api, incident: Incident) -> None:
    assert api.get(f"{LIST}/{incident.pk}").json()["next"] is None
    decide_all()
    answer = api.get(f"{LIST}/{incident.pk}")
    detail = answer.json()
    assert set(detail["analysis"]) >= {"classification", "hypotheses", "similar"}
    assert detail["decisions"][0]["choice"] == "escalate"
    # nothing is planned, and this is why
    assert (detail["next"]["kind"], detail["next"]["n_waiting"]) == ("none", 0)
    explanation = detail["next"]["explanation"]
    failing = [gate["name"] for gate in explanation["gates"] if not gate["passed"]]
    assert "retry_url" in failing
    assert (explanation["effect"], explanation["earliest_possible_at"]) == ("skip", None)
    assert answer["ETag"] == f'"{detail["version"]}"'


def test_every_list_below_an_incident_tells_its_part(api: Api, incident: Incident) -> None:
    decide_all()
    below = {
        name: api.get(f"{LIST}/{incident.pk}/{name}").json()
        for name in ("events", "decisions", "timeline", "runs", "actions")
    }
    counts = {name: page["count"] for name, page in below.items()}
    assert counts == {"events": 1, "decisions": 1, "timeline": 3, "runs": 1, "actions": 0}
    assert below["runs"]["results"][0]["run_id"] == "r-1"
    verbs = [line["verb"] for line in below["timeline"]["results"]]
    assert verbs[::-1] == ["detected", "decided", "escalated"]


@pytest.mark.parametrize(
    ("query", "finds"),
    [
        ("status=detected", True),
        ("status=resolved", False),
        ("severity=high", True),
        ("workflow=checkout", True),
        ("workflow=nobody", False),
        ("vendor=stripe&category=transient_error", True),
        ("q=PAYMENT_TIME", True),
        ("q=%25", False),  # a wildcard of LIKE is a plain character
        ("q=_", True),
        ("since=2020-01-01T00:00:00Z", True),
        ("until=2020-01-01T00:00:00Z", False),
        ("assignee=nobody", False),
    ],
)
def test_filters_narrow_the_list(api: Api, incident: Incident, query: str, finds: bool) -> None:
    assert api.get(f"{LIST}?{query}").json()["count"] == int(finds)


@pytest.mark.parametrize(
    "query",
    [
        "status=bogus",
        "status=",
        "status=detected&status=resolved",
        "severity=urgent",
        "since=yesterday",
        "since=infinity",
        "nonsense=1",
        "page[]=1",
        "format=html",
        "ordering=-tenant__users__password",
        "q=%00",
        f"q={'a' * 201}",
        "dry_run=true",
    ],
)
def test_what_a_query_cannot_mean_is_refused_never_an_empty_list(api: Api, query: str) -> None:
    answer = api.get(f"{LIST}?{query}")
    assert (answer.status_code, members(answer)["code"]) == (422, "validation_failed")


def test_severity_orders_by_its_weight_not_by_its_spelling(api: Api, acme: Tenant) -> None:
    for severity in ("medium", "critical", "low", "high"):
        IncidentFactory(tenant=acme, severity=severity)
    ordered = api.get(f"{LIST}?ordering=-severity").json()["results"]
    assert [one["severity"] for one in ordered] == ["critical", "high", "medium", "low"]


def test_a_status_moves_and_its_line_names_who_did_it(
    api: Api, incident: Incident, acme: Tenant
) -> None:
    answer = patch(api, incident, {"status": "analyzing", "note": "mine"})
    assert (answer.status_code, answer.json()["status"]) == (200, "analyzing")
    assert journal_of(acme, incident.pk)[-1] == "analyzing"


def test_the_same_status_again_is_a_quiet_200(api: Api, incident: Incident, acme: Tenant) -> None:
    lines = journal_of(acme)
    answer = patch(api, incident, {"status": "detected"})
    assert (answer.status_code, answer.json()["version"]) == (200, incident.version)
    assert journal_of(acme) == lines


def test_a_move_outside_the_table_is_refused_with_what_is_allowed(api: Api, acme: Tenant) -> None:
    closed = IncidentFactory(tenant=acme, status="ignored")
    answer = patch(api, closed, {"status": "escalated"})
    assert answer.status_code == 409
    problem = members(answer)
    assert (problem["code"], problem["allowed"]) == ("transition_refused", ["detected"])


@pytest.mark.parametrize("how", ["body", "header"])
def test_a_stale_version_is_refused_with_the_current_state(
    api: Api, incident: Incident, how: str
) -> None:
    stale = incident.version - 1
    body = {"status": "analyzing"} | ({"version": stale} if how == "body" else {})
    headers = {"If-Match": f'"{stale}"'} if how == "header" else {}
    answer = patch(api, incident, body, **headers)
    assert (answer.status_code, members(answer)["code"]) == (412, "stale_version")
    assert answer.json()["current"]["version"] == incident.version


@pytest.mark.parametrize("tag", ['"{}"', 'W/"{}"', '"0", "{}"', "*"])
def test_if_match_lets_the_current_version_through(api: Api, incident: Incident, tag: str) -> None:
    moved = patch(
        api, incident, {"status": "analyzing"}, **{"If-Match": tag.format(incident.version)}
    )
    assert moved.status_code == 200


def test_resolving_with_hurt_runs_needs_a_waiver_with_a_reason(
    api: Api, incident: Incident
) -> None:
    refused = patch(api, incident, {"status": "resolved"})
    problem = members(refused)
    assert (refused.status_code, problem["code"]) == (409, "unrecovered_runs")
    assert [run["run_id"] for run in problem["runs"]] == ["r-1"]
    unsaid = patch(api, incident, {"status": "resolved", "waive_unrecovered": True})
    assert unsaid.status_code == 409
    waived = {"status": "resolved", "waive_unrecovered": True, "reason": "refunded by hand"}
    done = patch(api, incident, waived)
    assert (done.status_code, done.json()["unrecovered_runs"]) == (200, 0)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"status": None},
        {"status": ["resolved"]},
        {"status": "exploded"},
        {"status": "analyzing", "version": "1"},
        {"status": "analyzing", "version": True},
        {"status": "analyzing", "waive_unrecovered": "yes"},
        {"status": "analyzing", "note": "a" * 4001},
        {"status": "analyzing", "note": 7},
        {"status": "analyzing", "severity": "low"},
        [],
        "resolved",
    ],
)
def test_a_body_that_says_anything_else_is_refused(api: Api, incident: Incident, body: Any) -> None:
    answer = patch(api, incident, body)
    assert (answer.status_code, members(answer)["code"]) == (422, "validation_failed")


def test_another_tenant_in_a_verbs_body_is_refused(
    api: Api, incident: Incident, globex: Tenant
) -> None:
    named = patch(api, incident, {"status": "analyzing", "tenant_id": str(globex.pk)})
    assert (named.status_code, members(named)["code"]) == (403, "tenant_mismatch")
    own = {"status": "analyzing", "tenant_id": str(incident.tenant_id).upper()}
    assert patch(api, incident, own).status_code == 200


def test_verbs_do_what_they_are_called(api: Api, incident: Incident, acme: Tenant) -> None:
    base = f"{LIST}/{incident.pk}"
    assert api.post(f"{base}/acknowledge").json()["acknowledged_at"] is not None
    assert api.post(f"{base}/escalate/", {"reason": "help"}).json()["status"] == "escalated"
    assert api.post(f"{base}/ignore", {"reason": "known"}).json()["status"] == "ignored"
    assert api.post(f"{base}/reopen", {"note": "not so"}).json()["status"] == "detected"
    assert journal_of(acme, incident.pk)[-4:] == [
        "acknowledged",
        "escalated",
        "ignored",
        "reopened",
    ]


@pytest.mark.parametrize("body", [None, {}, {"reason": ""}, {"reason": "  "}, {"reason": None}])
def test_ignoring_needs_a_reason(api: Api, incident: Incident, body: Any) -> None:
    assert api.post(f"{LIST}/{incident.pk}/ignore", body).status_code == 422


def test_a_dry_run_of_a_move_answers_the_move_and_makes_none(
    api: Api, incident: Incident, acme: Tenant
) -> None:
    lines = journal_of(acme)
    answer = api.post(f"{LIST}/{incident.pk}/escalate?dry_run=true", {"reason": "try"})
    assert (answer.status_code, answer.json()["status"]) == (200, "escalated")
    assert answer.json()["dry_run"] is True
    assert only_incident(acme).status == "detected"
    assert journal_of(acme) == lines


def test_runs_are_listed_shown_and_waived(api: Api, incident: Incident) -> None:
    found = api.get(f"/api/v1/runs?state=failed&incident={incident.pk}").json()["results"]
    assert [run["run_id"] for run in found] == ["r-1"]
    path = f"/api/v1/runs/{found[0]['id']}"
    assert api.get(path).json() == found[0]
    assert api.post(f"{path}/waive", {}).status_code == 422
    assert api.post(f"{path}/waive", {"reason": "refunded"}).json()["state"] == "waived"
    assert api.get(f"{LIST}/{incident.pk}").json()["unrecovered_runs"] == 0


def test_another_reports_run_is_counted_on_the_incident(api: Api, acme: Tenant) -> None:
    for run in ("a", "b"):
        submit(acme, **event(run_id=run, payload=failure()))
    digest_all()
    item = api.get(LIST).json()["results"][0]
    assert (item["affected_runs"], item["unrecovered_runs"], item["event_count"]) == (2, 2, 2)
