"""The triage pages: assign, snooze, note, undo and the bulk bar, for htmx and for plain forms."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from incidents import bulk_work
from incidents.models import BulkJob, Incident
from incidents.states import BulkState, Status
from tenants.models import JournalEntry, Tenant
from tenants.scoping import bound
from tests.cast import signed_in
from tests.factories import IncidentFactory

pytestmark = pytest.mark.django_db

FROM_PAGE = {"HX-Request": "true", "HX-Target": "div#incident"}
HTMX = {"HX-Request": "true"}


@pytest.fixture
def incident(acme: Tenant) -> Incident:
    return IncidentFactory(tenant=acme)


@pytest.fixture
def client(alice: User) -> Client:
    return signed_in(alice)


def fresh(incident: Incident) -> Incident:
    with bound(incident.tenant_id):
        found: Incident = Incident.objects.for_tenant(incident.tenant_id).get(pk=incident.pk)
    return found


def url(name: str, incident: Incident) -> str:
    return reverse(f"incidents:{name}", args=[incident.pk])


def toast(answer: Any) -> dict[str, str]:
    said: dict[str, str] = json.loads(answer.headers["HX-Trigger"])["toast"]
    return said


def test_a_dialog_for_htmx_is_a_page_for_everybody_else(client: Client, incident: Incident) -> None:
    for name in ("assign", "snooze"):
        assert "<!doctype html>" in client.get(url(name, incident)).content.decode()
        assert "<!doctype" not in client.get(url(name, incident), headers=HTMX).content.decode()


def test_an_incident_is_given_to_me_and_the_toast_takes_it_back(
    client: Client, incident: Incident, alice: User
) -> None:
    answer = client.post(url("assign", incident), {"assignee": "me"}, headers=FROM_PAGE)
    assert (answer.status_code, fresh(incident).assignee) == (200, alice)
    said = toast(answer)
    assert said["text"] == f"{incident} given to alice"
    undone = client.post(said["undo"], headers=HTMX)
    assert (undone.status_code, fresh(incident).assignee) == (200, None)
    assert "page:stale" in json.loads(undone.headers["HX-Trigger"])


def test_without_javascript_the_toast_is_a_form_on_the_next_page(
    client: Client, incident: Incident
) -> None:
    page = client.post(url("snooze", incident), {"preset": "3"}, follow=True).content.decode()
    assert "Undo</button>" in page
    assert fresh(incident).snoozed_until is not None
    client.post(reverse("incidents:undo"))
    assert fresh(incident).snoozed_until is None


@pytest.mark.parametrize(
    "said",
    [
        {"preset": "1"},
        {"preset": "5"},
        {"count": "10"},
        {"rate_per_hour": "5"},
        {"severity": "critical"},
        {"on_success": "on"},
    ],
)
def test_each_kind_of_snooze_is_taken(
    client: Client, incident: Incident, said: dict[str, str]
) -> None:
    assert client.post(url("snooze", incident), said).status_code == 302
    assert fresh(incident).snoozed_until is not None


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"preset": "9"},
        {"count": "0"},
        {"count": "1", "preset": "1"},
        {"until": "2001-01-01T00:00"},
        {"until": "soon"},
        {"severity": "medium"},
    ],
)
def test_a_snooze_that_cannot_be_meant_is_asked_again(
    client: Client, incident: Incident, said: dict[str, str]
) -> None:
    answer = client.post(url("snooze", incident), said, headers=HTMX)
    assert (answer.status_code, fresh(incident).snoozed_until) == (422, None)
    assert answer.headers["HX-Retarget"] == "#snooze-form"


def test_a_snoozed_incident_says_what_wakes_it_and_is_woken_by_hand(
    client: Client, incident: Incident
) -> None:
    client.post(url("snooze", incident), {"count": "10"})
    assert "asleep until 10 more events" in client.get(url("detail", incident)).content.decode()
    client.post(url("wake", incident))
    assert fresh(incident).snoozed_until is None


def test_a_note_stands_in_the_timeline_as_its_markdown_says(
    client: Client, incident: Incident
) -> None:
    note = "**on it** <script>alert(1)</script>"
    page = client.post(url("comment", incident), {"note": note}, headers=FROM_PAGE).content.decode()
    assert "<strong>on it</strong> &lt;script&gt;" in page
    assert (
        client.post(url("comment", incident), {"note": " "}, headers=FROM_PAGE).status_code == 422
    )


def test_a_step_of_the_lifecycle_is_taken_back_by_its_key(
    client: Client, incident: Incident
) -> None:
    assert client.post(reverse("incidents:undo"), headers=HTMX).status_code == 409  # nothing yet
    client.post(url("escalate", incident), {"reason": "loud"}, headers=FROM_PAGE)
    assert client.post(reverse("incidents:undo"), headers=HTMX).status_code == 200
    assert fresh(incident).status == Status.DETECTED


def test_a_step_is_its_persons_own(client: Client, incident: Incident, ann: User) -> None:
    answer = client.post(url("acknowledge", incident), headers=FROM_PAGE)
    assert signed_in(ann).post(toast(answer)["undo"]).status_code == 404
    assert fresh(incident).acknowledged_at is not None


# ---- many at once --------------------------------------------------------------------------------


def bulk(client: Client, said: dict[str, Any], **headers: str) -> Any:
    return client.post(reverse("incidents:bulk"), said, headers=headers)


def test_ticked_rows_are_done_at_once_and_undone_by_the_toast(client: Client, acme: Tenant) -> None:
    rows = [IncidentFactory(tenant=acme) for _ in range(3)]
    said = {"verb": "resolve", "ids": [str(row.pk) for row in rows[:2]]}
    answer = bulk(client, said, **HTMX)
    assert [fresh(row).status for row in rows] == [Status.RESOLVED, Status.RESOLVED, "detected"]
    assert toast(answer)["text"] == "2 incidents resolved"
    undone = client.post(toast(answer)["undo"], headers=HTMX)
    assert toast(undone)["text"] == "Undone: 2 are as before"
    assert {fresh(row).status for row in rows} == {Status.DETECTED}


def test_what_was_refused_is_said(client: Client, acme: Tenant) -> None:
    fine, closed = IncidentFactory(tenant=acme), IncidentFactory(tenant=acme, status="ignored")
    answer = bulk(client, {"verb": "resolve", "ids": [str(fine.pk), str(closed.pk)]}, **HTMX)
    assert toast(answer)["text"] == (
        "1 incident resolved, 1 refused."
        f" {closed}: An incident that is ignored cannot become resolved."
    )


def test_a_verb_that_needs_a_word_asks_for_it_first(client: Client, incident: Incident) -> None:
    said = {"verb": "ignore", "ids": [str(incident.pk)]}
    page = bulk(client, said).content.decode()
    assert "Ignore 1 incident" in page
    assert fresh(incident).status == Status.DETECTED
    bulk(client, said | {"reason": "known", "sure": "true"})
    assert fresh(incident).status == Status.IGNORED


def test_all_that_match_are_those_that_were_there_when_the_list_was_shown(
    client: Client, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_work, "AT_ONCE", 1)
    rows = [IncidentFactory(tenant=acme) for _ in range(3)]
    shown = client.get(reverse("incidents:list"), {"tab": "open"}).context
    later = IncidentFactory(tenant=acme)
    said = {"verb": "resolve", "all": "true", "view": shown["view"], "through": shown["through"]}
    asked = bulk(client, said).content.decode()
    assert "These are all that the view finds" in asked
    answer = bulk(client, said | {"sure": "true"})
    with bound(acme.pk):
        job: BulkJob = BulkJob.objects.for_tenant(acme).get()
    assert answer.url == reverse("incidents:bulk-job", args=[job.pk])
    assert "0</b> of 3" in client.get(answer.url).content.decode()
    while bulk_work.work_due():
        pass
    page = client.get(answer.url).content.decode()
    assert "3</b> of 3" in page
    assert "Undo all of it" in page
    assert [fresh(row).status for row in [*rows, later]] == [Status.RESOLVED] * 3 + ["detected"]
    client.post(reverse("incidents:bulk-undo", args=[job.pk]))
    while bulk_work.work_due():
        pass
    assert {fresh(row).status for row in rows} == {Status.DETECTED}
    with bound(acme.pk):
        assert BulkJob.objects.for_tenant(acme).get().state == BulkState.UNDONE


@pytest.mark.parametrize(
    "said",
    [
        {"verb": "resolve"},
        {"verb": "merge", "ids": "01950000-0000-7000-8000-000000000001"},
        {"verb": "resolve", "ids": "01950000-0000-7000-8000-000000000001"},
        {"verb": "resolve", "ids": "nonsense"},
        {"verb": "resolve", "all": "true"},
        {"verb": "assign", "assignee": "mallory", "ids": "01950000-0000-7000-8000-000000000001"},
    ],
)
def test_what_cannot_be_meant_is_refused_and_says_so(
    client: Client, incident: Incident, said: dict[str, str]
) -> None:
    assert bulk(client, said).status_code == 422
    assert bulk(client, said, **HTMX).status_code == 422
    with bound(incident.tenant_id):
        lines = JournalEntry.objects.for_tenant(incident.tenant_id)
        assert not lines.filter(subject_type="bulkjob").exists()


def test_a_viewer_sees_no_boxes_and_may_do_nothing(bob: User, incident: Incident) -> None:
    client = signed_in(bob)
    assert 'form="bulk"' not in client.get("/incidents/?tab=open").content.decode()
    assert bulk(client, {"verb": "resolve", "ids": str(incident.pk)}).status_code == 403


def test_the_palette_offers_what_is_mine_and_can_be_taken_back(
    client: Client, incident: Incident, ann: User
) -> None:
    steps = reverse("incidents:undo-steps")
    client.post(url("assign", incident), {"assignee": "me"}, headers=FROM_PAGE)
    offered = client.get(steps).content.decode()
    assert offered.count('role="option"') == 1
    assert f"Undo assign of {incident}" in offered
    assert "option" not in signed_in(ann).get(steps).content.decode()
    client.post(reverse("incidents:undo"))
    assert "option" not in client.get(steps).content.decode()
