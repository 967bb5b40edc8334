"""API.md's triage verbs and bulk: what they take, answer and refuse."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from incidents import bulk_work
from incidents.models import Incident
from tenants.models import Tenant
from tenants.scoping import bound
from tests.cast import Api, key_of
from tests.factories import ActionFactory, IncidentFactory

pytestmark = pytest.mark.django_db
NOBODY = "01950000-0000-7000-8000-00000000dead"


@pytest.fixture
def api(acme: Tenant) -> Api:
    return Api(key_of(acme))


@pytest.fixture
def incident(acme: Tenant) -> Incident:
    return IncidentFactory(tenant=acme)


def path(incident: Incident, verb: str) -> str:
    return f"/api/v1/incidents/{incident.pk}/{verb}"


def test_each_verb_answers_with_the_incident(api: Api, incident: Incident, alice: User) -> None:
    said = api.post(path(incident, "acknowledge"), {"timeout_minutes": 30}).json()
    assert said["acknowledged_until"] > said["acknowledged_at"]
    assert (
        api.post(path(incident, "assign"), {"assignee": alice.email}).json()["assignee"] == "alice"
    )
    said = api.post(path(incident, "snooze"), {"rate_per_hour": 30}).json()
    assert (said["snooze"]["kind"], said["snooze"]["value"]) == ("rate_per_hour", "30")
    assert said["snoozed_until"] is not None
    assert api.post(path(incident, "wake")).json()["snooze"] is None
    assert api.post(path(incident, "comment"), {"note": "on it"}).json()["version"] == 6
    # the latest step is the waking: it sleeps again
    assert api.post(path(incident, "undo")).json()["snooze"]["kind"] == "rate_per_hour"
    assert api.post(path(incident, "assign"), {"assignee": None}).json()["assignee"] is None


@pytest.mark.parametrize(
    ("verb", "body", "pointer"),
    [
        ("acknowledge", {"timeout_minutes": 0}, "/timeout_minutes"),
        ("acknowledge", {"timeout_minutes": 10_081}, "/timeout_minutes"),
        ("acknowledge", {"timeout_minutes": "30"}, "/timeout_minutes"),
        ("assign", {}, "/assignee"),
        ("assign", {"assignee": "mallory@example.org"}, "/assignee"),
        ("assign", {"assignee": "me"}, "/assignee"),
        ("snooze", {}, ""),
        ("snooze", {"count": 1, "on_success": True}, ""),
        ("snooze", {"on_success": False}, ""),
        ("snooze", {"until": "2001-01-01T00:00:00Z"}, "/until"),
        ("snooze", {"until": "tomorrow"}, "/until"),
        ("snooze", {"severity": "low"}, "/severity"),
        ("snooze", {"count": None}, "/count"),
        ("comment", {}, "/note"),
        ("comment", {"note": "  "}, "/note"),
        ("comment", {"note": "x" * 4001}, "/note"),
        ("comment", {"note": "x", "html": True}, "/html"),
    ],
)
def test_what_cannot_be_meant_is_pointed_at(
    api: Api, incident: Incident, mallory: User, verb: str, body: Any, pointer: str
) -> None:
    answer = api.post(path(incident, verb), body)
    assert answer.status_code == 422, answer.json()
    assert answer.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("acknowledge", {}),
        ("assign", {"assignee": None}),
        ("snooze", {"count": 1}),
        ("comment", {"note": "x"}),
    ],
)
def test_a_stale_version_is_refused_with_the_current_state(
    api: Api, incident: Incident, verb: str, body: dict[str, Any]
) -> None:
    by_body = api.post(path(incident, verb), body | {"version": 99})
    by_header = api.post(path(incident, verb), body, **{"If-Match": '"99"'})
    for answer in (by_body, by_header):
        assert (answer.status_code, answer.json()["code"]) == (412, "stale_version")
        assert answer.json()["current"]["version"] == 1


def test_a_closed_incident_is_not_snoozed(api: Api, acme: Tenant) -> None:
    closed = IncidentFactory(tenant=acme, status="resolved")
    answer = api.post(path(closed, "snooze"), {"count": 1})
    assert (answer.status_code, answer.json()["allowed"]) == (409, ["detected"])


def test_what_changed_since_is_a_conflict_in_words(api: Api, incident: Incident) -> None:
    api.post(path(incident, "escalate"), {"reason": "loud"})
    with bound(incident.tenant_id):
        mine = Incident.objects.for_tenant(incident.tenant_id)
        mine.filter(pk=incident.pk).update(escalated_reason="louder")
    answer = api.post(path(incident, "undo"))
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "has changed since" in answer.json()["detail"]


def worked() -> None:
    while bulk_work.work_due():
        pass


def test_many_are_asked_for_followed_and_undone(api: Api, acme: Tenant) -> None:
    rows = [IncidentFactory(tenant=acme, severity="high") for _ in range(3)]
    closed = IncidentFactory(tenant=acme, severity="high", status="ignored")
    asked = api.post(
        "/api/v1/incidents/bulk",
        {"verb": "resolve", "query": "severity:high", "parameters": {"reason": "fixed"}},
    )
    assert asked.status_code == 202
    job = f"/api/v1/bulk/{asked.json()['job_id']}"
    assert api.get(job).json()["waiting"] == 4
    assert api.post(f"{job}/undo").status_code == 409  # not over yet
    worked()
    said = api.get(job).json()
    assert (said["state"], said["done"], said["failed"]) == ("done", 3, 1)
    assert said["failures"] == [
        {
            "incident_id": str(closed.pk),
            "number": str(closed),
            "state": "failed",
            "reason": "An incident that is ignored cannot become resolved.",
        }
    ]
    assert api.post(f"{job}/undo").status_code == 202
    worked()
    assert (api.get(job).json()["state"], api.get(job).json()["undone"]) == ("undone", 3)
    assert api.get(f"/api/v1/incidents/{rows[0].pk}").json()["status"] == "detected"


def test_what_waits_for_an_approval_is_among_what_needs_attention(api: Api, acme: Tenant) -> None:
    waits = IncidentFactory(tenant=acme, status="analyzing")
    IncidentFactory(tenant=acme, status="analyzing")
    ActionFactory(tenant=acme, incident=waits, status="awaiting_approval")
    asked = api.post("/api/v1/incidents/bulk", {"verb": "acknowledge", "query": "is:attention"})
    assert asked.json()["incidents"] == 1


def test_these_ids_and_no_others(api: Api, acme: Tenant, globex: Tenant) -> None:
    mine, theirs = IncidentFactory(tenant=acme), IncidentFactory(tenant=globex)
    asked = {"verb": "assign", "ids": [str(mine.pk)], "parameters": {"assignee": None}}
    assert api.post("/api/v1/incidents/bulk", asked).json()["incidents"] == 1
    for other in (str(theirs.pk), NOBODY):
        answer = api.post("/api/v1/incidents/bulk", asked | {"ids": [str(mine.pk), other]})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/ids/1")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"verb": "resolve"}, ""),
        ({"verb": "resolve", "query": "is:open", "ids": [NOBODY]}, ""),
        ({"verb": "merge", "query": "is:open"}, "/verb"),
        ({"verb": "resolve", "query": "severity:none-such"}, "/query"),
        ({"verb": "resolve", "ids": []}, "/ids"),
        ({"verb": "ignore", "query": "is:open"}, "/parameters/reason"),
        (
            {"verb": "resolve", "query": "is:open", "parameters": {"waive_unrecovered": True}},
            "/parameters/reason",
        ),
        ({"verb": "snooze", "query": "is:open", "parameters": {}}, "/parameters"),
        (
            {"verb": "assign", "query": "is:open", "parameters": {"assignee": "me"}},
            "/parameters/assignee",
        ),
        (
            {"verb": "resolve", "query": "is:open", "parameters": {"force": True}},
            "/parameters/force",
        ),
    ],
)
def test_a_job_that_cannot_be_meant_is_pointed_at(api: Api, body: Any, pointer: str) -> None:
    answer = api.post("/api/v1/incidents/bulk", body)
    assert answer.status_code == 422, answer.json()
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_a_dry_run_counts_and_asks_for_nothing(api: Api, incident: Incident) -> None:
    asked = {"verb": "resolve", "query": "is:open"}
    said = api.post("/api/v1/incidents/bulk?dry_run=true", asked)
    assert (said.status_code, said.json()["incidents"], said.json()["dry_run"]) == (200, 1, True)
    assert api.get(f"/api/v1/bulk/{said.json()['job_id']}").status_code == 404
