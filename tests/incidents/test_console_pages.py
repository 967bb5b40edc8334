"""The incident pages: who may see and press what, and what they answer to htmx and to plain forms."""

import json

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from actions import planning
from incidents.models import Incident
from tenants import scoping
from tenants.models import JournalEntry
from tests.support.console import (
    World,
    client_of,
    incident_of,
    report,
    workflow_with_retries,
    world,
)

pytestmark = pytest.mark.django_db(transaction=True)
FROM_PAGE = {"HX-Request": "true", "HX-Target": "div#incident"}
VERBS = ("acknowledge", "resolve", "ignore", "escalate", "reopen")


@pytest.fixture
def cast() -> World:
    return world()


@pytest.fixture
def alice(cast: World) -> Client:
    return client_of(cast.alice)


@pytest.fixture
def incident(cast: World) -> Incident:
    report(cast.acme, runs=["run-1", "run-2"])
    return incident_of(cast.acme)


def _url(verb: str, incident: Incident) -> str:
    return reverse(f"incidents:{verb}", args=[incident.pk])


def _lines(incident: Incident, verb: str) -> int:
    with scoping.bound(incident.tenant_id):
        mine = JournalEntry.objects.for_tenant(incident.tenant_id)
        return mine.filter(subject_id=str(incident.pk), verb=verb).count()


def test_the_list_shows_an_incident_with_its_state_and_its_runs(
    alice: Client, incident: Incident
) -> None:
    page = alice.get(reverse("incidents:list"), {"tab": "open"})
    assert page.status_code == 200
    text = page.content.decode()
    assert incident.title in text
    assert "2 of 2" in text  # are left to recover


def test_a_resolved_incident_leaves_the_open_view(alice: Client, cast: World) -> None:
    report(cast.acme)
    report(cast.acme, status="completed")
    assert incident_of(cast.acme).title not in alice.get("/incidents/?tab=open").content.decode()
    assert incident_of(cast.acme).title in alice.get("/incidents/?tab=resolved").content.decode()


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("q=capture", True),
        ("q=INC-1", True),
        ("q=payment_timeout", True),
        ("q=nothing", False),
        ("workflow=billing", True),
        ("workflow=unknown", False),
        ("status=ignored", False),
    ],
)
def test_filters_are_in_the_address(
    alice: Client, incident: Incident, query: str, is_found: bool
) -> None:
    page = alice.get(f"/incidents/?tab=open&{query}").content.decode()
    assert (incident.title in page) is is_found
    assert ("No incident matches" in page) is not is_found


def test_a_filter_that_means_nothing_is_refused_instead_of_reading_as_all_clear(
    alice: Client,
) -> None:
    assert alice.get("/incidents/?severity=purple").status_code == 422


def test_an_empty_console_says_how_to_send_the_first_event(alice: Client) -> None:
    assert "Waiting for your first event" in alice.get("/incidents/").content.decode()


def test_the_page_tells_the_decision_the_runs_and_the_timeline(
    alice: Client, incident: Incident
) -> None:
    text = alice.get(incident.get_absolute_url()).content.decode()
    for part in (
        "What happens next",
        "Decision",
        "run-1",
        "Incident opened",
        "Why grouped",
        "Capture timed out",
    ):
        assert part in text


def test_acknowledging_answers_the_page_body_and_journals_once(
    alice: Client, incident: Incident
) -> None:
    for _ in range(2):
        answer = alice.post(_url("acknowledge", incident), headers=FROM_PAGE)
        assert answer.status_code == 200
    assert 'id="incident"' in answer.content.decode()
    assert json.loads(answer["HX-Trigger"])["toast"]["text"] == "INC-1 acknowledged"
    assert _lines(incident, "acknowledged") == 1


def test_a_key_in_the_list_gets_its_row_back(alice: Client, incident: Incident) -> None:
    row = {"HX-Request": "true", "HX-Target": f"tr#incident-{incident.pk}"}
    answer = alice.post(_url("acknowledge", incident), headers=row).content.decode()
    assert f'id="incident-{incident.pk}"' in answer
    assert 'class="split"' not in answer


def test_a_plain_form_goes_back_to_the_page_and_says_so_there(
    alice: Client, incident: Incident
) -> None:
    answer = alice.post(_url("ignore", incident), {"reason": "known"}, follow=True)
    assert answer.redirect_chain[-1][0] == incident.get_absolute_url()
    assert "INC-1 ignored" in answer.content.decode()


def test_resolving_with_hurt_runs_left_is_refused_and_says_how_many(
    alice: Client, incident: Incident
) -> None:
    answer = alice.post(_url("resolve", incident), {"reason": "done"}, headers=FROM_PAGE)
    assert answer.status_code == 409
    assert "2 runs" in json.loads(answer["HX-Trigger"])["toast"]["text"]
    assert _again(incident).status != "resolved"


def test_resolving_gives_the_runs_up_with_a_reason(alice: Client, incident: Incident) -> None:
    waiver = {"reason": "refunded by hand", "waive_unrecovered": "true"}
    answer = alice.post(_url("resolve", incident), waiver, headers=FROM_PAGE)
    assert answer.status_code == 200
    assert _again(incident).status == "resolved"


def test_a_forbidden_move_answers_409_and_shows_where_it_stands(
    alice: Client, incident: Incident
) -> None:
    alice.post(_url("ignore", incident), {"reason": "known"}, headers=FROM_PAGE)
    answer = alice.post(_url("escalate", incident), {"reason": "help"}, headers=FROM_PAGE)
    assert answer.status_code == 409
    assert "Ignored" in answer.content.decode()


@pytest.mark.parametrize("verb", ["ignore", "escalate"])
@pytest.mark.parametrize("reason", ["", " ", "x" * 4001])
def test_a_reason_is_needed_and_bounded(
    alice: Client, incident: Incident, verb: str, reason: str
) -> None:
    answer = alice.post(_url(verb, incident), {"reason": reason}, headers=FROM_PAGE)
    assert answer.status_code == 422
    assert _again(incident).version == incident.version


@pytest.mark.parametrize("verb", VERBS)
def test_a_viewer_sees_everything_and_presses_nothing(
    cast: World, incident: Incident, verb: str
) -> None:
    bob = client_of(cast.bob)
    page = bob.get(incident.get_absolute_url())
    assert page.status_code == 200
    assert f'data-verb="{verb}"' not in page.content.decode()
    assert "data-by=" not in page.content.decode()  # nor is shown ahead what may not be done
    assert bob.post(_url(verb, incident), {"reason": "x"}).status_code == 403


@pytest.mark.parametrize("verb", VERBS)
def test_an_outsider_finds_nothing(cast: World, incident: Incident, verb: str) -> None:
    mallory = client_of(cast.mallory)
    assert mallory.get(incident.get_absolute_url()).status_code == 404
    assert mallory.post(_url(verb, incident), {"reason": "x"}).status_code == 404
    assert mallory.get(reverse("actions:panel", args=[incident.pk])).status_code == 404
    assert incident.title not in mallory.get("/incidents/?tab=open").content.decode()
    rows = mallory.get(reverse("incidents:rows"), {"ids": str(incident.pk)}).content.decode()
    assert str(incident.pk) not in rows


def test_hints_get_their_rows_each_marked_for_its_place(alice: Client, incident: Incident) -> None:
    answer = alice.get(reverse("incidents:rows"), {"tab": "open", "ids": str(incident.pk)})
    assert f'id="incident-{incident.pk}"' in answer.content.decode()
    assert 'hx-swap-oob="outerMorph"' in answer.content.decode()
    assert json.loads(answer["HX-Trigger"])["incidents:arrived"]["ids"] == [str(incident.pk)]


def test_a_row_that_left_the_view_dims_and_is_not_new(alice: Client, incident: Incident) -> None:
    alice.post(_url("ignore", incident), {"reason": "known"})
    answer = alice.get(reverse("incidents:rows"), {"tab": "open", "ids": str(incident.pk)})
    assert "row-gone" in answer.content.decode()
    assert json.loads(answer["HX-Trigger"])["incidents:arrived"]["ids"] == []


def test_what_waits_for_an_approval_needs_attention_and_can_be_approved(
    alice: Client, cast: World
) -> None:
    workflow_with_retries(cast.acme, "billing", idempotent="no")
    report(cast.acme, vendor="stripe")
    incident = incident_of(cast.acme)
    planning.plan_due()
    page = alice.get("/incidents/").content.decode()
    assert "Needs approval" in page
    panel = alice.get(reverse("actions:panel", args=[incident.pk])).content.decode()
    assert "Approve and run" in panel
    with scoping.bound(cast.acme.pk):
        action = incident.actions.get(action_type="retry")
    alice.post(reverse("actions:approve", args=[action.pk]))
    assert (
        "Approve and run"
        not in alice.get(reverse("actions:panel", args=[incident.pk])).content.decode()
    )


def test_a_planned_retry_is_told_with_its_countdown(alice: Client, cast: World) -> None:
    workflow_with_retries(cast.acme, "billing")
    report(cast.acme, vendor="stripe")
    planning.plan_due()
    page = alice.get("/incidents/?tab=open").content.decode()
    assert "Retry 1 of" in page
    assert "data-left" in page


def test_the_list_asks_the_same_questions_however_long_it_is(alice: Client, cast: World) -> None:
    def n_queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert alice.get("/incidents/?tab=open").status_code == 200
        return len(asked)

    report(cast.acme, vendor="stripe")
    alice.get("/incidents/?tab=open")  # what is read once per process is read
    one = n_queries()
    for number in range(4):
        report(
            cast.acme, workflow=f"flow-{number}", error_code=f"code_{number}", vendor=f"v{number}"
        )
    assert n_queries() == one


def test_who_is_not_signed_in_is_asked_to(incident: Incident) -> None:
    answer = Client().get(incident.get_absolute_url())
    assert answer.status_code == 302
    assert answer["Location"].startswith(f"{reverse(settings.LOGIN_URL)}?next=")


def _again(incident: Incident) -> Incident:
    with scoping.bound(incident.tenant_id):
        found: Incident = Incident.objects.for_tenant(incident.tenant_id).get(pk=incident.pk)
        return found
