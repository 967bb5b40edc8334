"""The run pages: found by state, workflow, incident and id; told with its events; waived with a reason."""

import json

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from actions import planning
from incidents.models import Run
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
FROM_PAGE = {"HX-Request": "true", "HX-Target": "div#run"}
RUNS = "/runs/"


@pytest.fixture
def cast() -> World:
    return world()


@pytest.fixture
def alice(cast: World) -> Client:
    return client_of(cast.alice)


@pytest.fixture
def run(cast: World) -> Run:
    """run-1 is left; run-2 came back."""
    report(cast.acme, runs=["run-1", "run-2"])
    report(cast.acme, status="completed", runs=["run-2"])
    return run_of(cast, "run-1")


def run_of(cast: World, run_id: str) -> Run:
    with scoping.bound(cast.acme.pk):
        found: Run = Run.objects.for_tenant(cast.acme).get(run_id=run_id)
        return found


def _url(name: str, run: Run) -> str:
    return reverse(f"runs:{name}", args=[run.pk])


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", {"run-1", "run-2"}),
        ("state=left", {"run-1"}),
        ("state=failed", {"run-1"}),
        ("state=recovered", {"run-2"}),
        ("state=alone", {"run-2"}),
        ("state=waived", set()),
        ("workflow=billing", {"run-1", "run-2"}),
        ("workflow=unknown", set()),
        ("incident=INC-1", {"run-1", "run-2"}),
        ("incident=inc-1&state=left", {"run-1"}),
        ("incident=1", {"run-1", "run-2"}),
        ("incident=INC-77", set()),
        ("q=run-2", {"run-2"}),
        ("q=run", set()),  # an id is found whole
        ("page=9", {"run-1", "run-2"}),
    ],
)
def test_filters_are_in_the_address(alice: Client, run: Run, query: str, shown: set[str]) -> None:
    text = alice.get(f"{RUNS}?{query}").content.decode()
    assert {name for name in ("run-1", "run-2") if f">{name}</a>" in text} == shown
    assert ("No run matches" in text) is (not shown)


@pytest.mark.parametrize("query", ["state=gone", "incident=first", "page=0", "incident=INC-²"])
def test_a_filter_that_means_nothing_is_refused(alice: Client, query: str) -> None:
    assert alice.get(f"{RUNS}?{query}").status_code == 422


def test_an_empty_list_says_how_runs_come_to_be(alice: Client) -> None:
    text = alice.get(RUNS).content.decode()
    assert "No run was reported yet" in text
    assert "run_id" in text


def test_many_runs_come_in_pages(alice: Client, cast: World) -> None:
    report(cast.acme, runs=[f"run-{n}" for n in range(60)])
    first = alice.get(f"{RUNS}?state=failed").content.decode()
    assert "60 runs" in first
    assert 'rel="next"' in first
    second = alice.get(f"{RUNS}?state=failed&page=2").content.decode()
    assert (first.count("row-plain"), second.count("row-plain")) == (50, 10)
    assert 'rel="prev"' in second


def test_the_page_tells_state_incidents_events_and_what_was_said(
    alice: Client, cast: World, run: Run
) -> None:
    text = alice.get(_url("detail", run)).content.decode()
    for part in ("run-1", "Not recovered", "INC-1", "payment.failed", "Capture timed out"):
        assert part in text
    back = alice.get(_url("detail", run_of(cast, "run-2"))).content.decode()
    assert "It succeeded without our help." in back
    assert "payment.completed" in back


def test_the_incident_counts_its_runs_and_leads_to_them(
    alice: Client, cast: World, run: Run
) -> None:
    text = alice.get(incident_of(cast.acme).get_absolute_url()).content.decode()
    # N1
    assert '<a href="/runs/?incident=INC-1&amp;state=left"><b>1</b> left</a>' in text
    assert "<b>1</b> recovered alone" in text


def test_a_run_is_waived_with_a_reason_that_its_page_shows(alice: Client, run: Run) -> None:
    answer = alice.post(_url("waive", run), {"reason": "refunded by hand"}, headers=FROM_PAGE)
    assert answer.status_code == 200
    assert 'id="run"' in answer.content.decode()
    assert json.loads(answer["HX-Trigger"])["toast"]["text"] == "Run run-1 waived"
    text = alice.get(_url("detail", run)).content.decode()
    assert "refunded by hand" in text
    assert "Waived" in text


def test_waiving_again_changes_nothing_and_says_so(alice: Client, cast: World, run: Run) -> None:
    for _ in range(2):
        answer = alice.post(_url("waive", run), {"reason": "refunded"}, headers=FROM_PAGE)
    assert json.loads(answer["HX-Trigger"])["toast"]["kind"] == "bad"
    with scoping.bound(cast.acme.pk):
        lines = JournalEntry.objects.for_tenant(cast.acme).filter(subject_id=str(run.pk))
        assert lines.filter(verb="waived").count() == 1
        assert incident_of(cast.acme).unrecovered_runs == 0


def test_a_recovered_run_cannot_be_given_up(alice: Client, cast: World, run: Run) -> None:
    back = run_of(cast, "run-2")
    assert 'data-verb="waive"' not in alice.get(_url("detail", back)).content.decode()
    answer = alice.post(_url("waive", back), {"reason": "x"}, headers=FROM_PAGE)
    assert "recovered alone" in json.loads(answer["HX-Trigger"])["toast"]["text"]
    assert run_of(cast, "run-2").state == "recovered_auto"


@pytest.mark.parametrize("reason", ["", " ", "x" * 4001])
def test_a_reason_is_needed_and_bounded(alice: Client, cast: World, run: Run, reason: str) -> None:
    answer = alice.post(_url("waive", run), {"reason": reason}, headers=FROM_PAGE)
    assert answer.status_code == 422
    assert run_of(cast, "run-1").state == "failed"


def test_a_viewer_sees_runs_and_waives_none(cast: World, run: Run) -> None:
    bob = client_of(cast.bob)
    page = bob.get(_url("detail", run))
    assert page.status_code == 200
    assert 'data-verb="waive"' not in page.content.decode()
    assert bob.post(_url("waive", run), {"reason": "x"}).status_code == 403


def test_an_outsider_finds_no_run(cast: World, run: Run) -> None:
    mallory = client_of(cast.mallory)
    assert mallory.get(_url("detail", run)).status_code == 404
    assert mallory.post(_url("waive", run), {"reason": "x"}).status_code == 404
    assert mallory.get(reverse("actions:run-panel", args=[run.pk])).status_code == 404
    assert "run-1" not in mallory.get(RUNS).content.decode()
    assert "run-1" not in mallory.get(f"{RUNS}?incident=INC-1").content.decode()


def test_the_actions_of_a_run_come_as_a_panel_and_are_approved_there(
    alice: Client, cast: World
) -> None:
    workflow_with_retries(cast.acme, "billing", idempotent="no")
    report(cast.acme, vendor="stripe", runs=["run-1", "run-2"])
    planning.plan_due()
    run = run_of(cast, "run-1")
    panel = alice.get(reverse("actions:run-panel", args=[run.pk])).content.decode()
    assert panel.count("Approve and run") == 1
    with scoping.bound(cast.acme.pk):
        action = run.actions.get()
    answer = alice.post(reverse("actions:approve", args=[action.pk]), {"run": str(run.pk)})
    # the panel that was asked is the one that answers
    assert answer["Location"] == reverse("actions:run-panel", args=[run.pk])


def test_the_list_asks_the_same_questions_however_long_it_is(alice: Client, cast: World) -> None:
    def n_queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert alice.get(RUNS).status_code == 200
        return len(asked)

    report(cast.acme, runs=["run-1"])
    alice.get(RUNS)  # what is read once per process is read
    one = n_queries()
    report(cast.acme, workflow="shipping", error_code="boom", runs=[f"s-{n}" for n in range(9)])
    assert n_queries() == one
