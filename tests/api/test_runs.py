"""Runs over HTTP: found by state, counted in the incident's ledger, given up with a reason."""

from typing import Any

import pytest

from incidents.models import Incident
from tenants.models import Tenant
from tests.cast import (
    Api,
    digest_all,
    event,
    failure,
    journal_of,
    key_of,
    only_incident,
    submit_all,
)
from tests.support.problem_answers import members

INCIDENTS = "/api/v1/incidents"


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
    return only_incident(acme)


def _listed(api: Api, path: str) -> set[str]:
    return {run["run_id"] for run in api.get(path).json()["results"]}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"r-1", "r-2", "r-3"}),
        ("state=failed", {"r-1", "r-2"}),
        ("state=recovered_auto", {"r-3"}),
        ("state=waived", set()),
    ],
)
def test_runs_are_found_by_state_everywhere(
    api: Api, incident: Incident, query: str, expected: set[str]
) -> None:
    assert _listed(api, f"{INCIDENTS}/{incident.pk}/runs?{query}") == expected
    assert _listed(api, f"/api/v1/runs?{query}") == expected
    assert _listed(api, f"/api/v1/runs?incident={incident.pk}&{query}".rstrip("&")) == expected
    assert _listed(api, f"/api/v1/runs?workflow=checkout&{query}".rstrip("&")) == expected


@pytest.mark.parametrize("query", ["state=gone", "state=", "incident=x", "q=r-1"])
def test_what_a_query_cannot_mean_is_refused(api: Api, incident: Incident, query: str) -> None:
    for path in ("/api/v1/runs", f"{INCIDENTS}/{incident.pk}/runs"):
        answer = api.get(f"{path}?{query}")
        assert (answer.status_code, members(answer)["code"]) == (422, "validation_failed")


def test_the_ledger_of_an_incident_says_what_became_of_its_runs(
    api: Api, incident: Incident
) -> None:
    path = f"{INCIDENTS}/{incident.pk}"
    expected = {
        "affected": 3,
        "unrecovered": 2,
        "retry_scheduled": 0,
        "recovered_auto": 1,
        "recovered_by_action": 0,
        "waived": 0,
    }
    assert api.get(path).json()["ledger"] == expected
    left = api.get("/api/v1/runs?state=failed").json()["results"][0]
    api.post(f"/api/v1/runs/{left['id']}/waive", {"reason": "refunded"})
    assert api.get(path).json()["ledger"] == expected | {"unrecovered": 1, "waived": 1}


def test_the_hours_of_an_incident_are_those_of_its_events(api: Api, incident: Incident) -> None:
    hours = api.get(f"{INCIDENTS}/{incident.pk}").json()["hours"]
    assert sum(hour["n_events"] for hour in hours) == incident.event_count == 3
    assert all(hour["hour"].endswith(":00:00Z") for hour in hours)


def test_a_waiver_keeps_its_reason_and_is_made_once(
    api: Api, incident: Incident, acme: Tenant
) -> None:
    run = api.get("/api/v1/runs?state=failed").json()["results"][0]
    path = f"/api/v1/runs/{run['id']}/waive"
    tried = api.post(f"{path}?dry_run=true", {"reason": "refunded"}).json()
    assert (tried["state"], tried["dry_run"]) == ("waived", True)
    assert api.get(f"/api/v1/runs/{run['id']}").json() == run
    for _ in range(2):
        waived = api.post(path, {"reason": "refunded"}).json()
    assert (waived["state"], waived["recovery_note"]) == ("waived", "refunded")
    assert journal_of(acme, run["id"]) == ["waived"]


def _neighbours(api: Api, incident: Incident, query: str = "") -> Any:
    return api.get(f"{INCIDENTS}/{incident.pk}/similar{query}").json()


def test_the_nearest_incidents_come_with_what_differs(api: Api, acme: Tenant) -> None:
    texts = ("Capture timed out", "Capture was refused by the issuer", "No such account")
    codes = ("payment_timeout", "payment_timeout", "account_unknown")
    for place, (text, code) in enumerate(zip(texts, codes, strict=True)):
        payload = failure(error_message=text, error_code=code)
        submit_all(acme, [event(run_id=f"s-{place}", payload=payload)])
        digest_all()
    found = {one["title"]: one for one in api.get(INCIDENTS).json()["results"]}
    here = found[texts[0]]
    page = api.get(f"{INCIDENTS}/{here['id']}/similar").json()
    assert [one["incident"] for one in page["results"]] == [found[texts[1]], found[texts[2]]]
    assert page["count"] == 2
    nearest, farther = page["results"]
    assert 0 < farther["score"] < nearest["score"] < 1
    assert nearest["same"] == ["workflow", "vendor", "code"]
    assert [one["component"] for one in nearest["different"]] == ["template"]
    assert nearest["different"][0]["here"].casefold() == "capture timed out"
    detail = api.get(f"{INCIDENTS}/{here['id']}").json()
    assert detail["analysis"]["similar"] == page["results"]
    first = api.get(f"{INCIDENTS}/{here['id']}/similar?page=1&page_size=1").json()
    assert (len(first["results"]), first["count"]) == (1, 2)


def test_an_incident_alone_has_no_neighbours(api: Api, incident: Incident) -> None:
    assert _neighbours(api, incident)["results"] == []
    assert api.get(f"{INCIDENTS}/{incident.pk}/similar?score=1").status_code == 422


def test_a_run_explains_why_it_is_not_retried(api: Api, incident: Incident) -> None:
    runs = api.get(f"/api/v1/runs?incident={incident.pk}").json()["results"]
    hurt = next(run["id"] for run in runs if run["state"] == "failed")
    told = api.get(f"/api/v1/runs/{hurt}/explain").json()
    failing = [gate["name"] for gate in told["gates"] if not gate["passed"]]
    # an unknown workflow registers itself: without an address to call, and without a word on calling twice
    assert failing == ["retry_url", "idempotent"]
    assert (told["effect"], told["reason"]) == (
        "skip",
        "The workflow has no retry URL: nobody to call.",
    )
    assert (told["action_id"], told["next_attempt"], told["earliest_possible_at"]) == (None,) * 3

    recovered = next(run["id"] for run in runs if run["state"] == "recovered_auto")
    told = api.get(f"/api/v1/runs/{recovered}/explain").json()
    assert [gate["name"] for gate in told["gates"]] == ["still_needed"]
