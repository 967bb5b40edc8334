"""The pages of actions: one view per state, each empty one says what to do, and one action with all it did."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from actions.models import Action
from actions.states import Status
from incidents.models import Incident
from tests.factories import ActionFactory, AttemptFactory, IncidentFactory, RunFactory
from tests.support.console import World, client_of, world

pytestmark = pytest.mark.django_db(transaction=True)
ACTIONS = "/actions/"
SHOWN_IN = {
    Status.PENDING: "queue",
    Status.IN_PROGRESS: "running",
    Status.AWAITING_APPROVAL: "waiting",
    Status.PARKED: "waiting",
    Status.UNKNOWN: "unknown",
    Status.FAILED: "failed",
}


@pytest.fixture
def cast() -> World:
    return world()


@pytest.fixture
def alice(cast: World) -> Client:
    return client_of(cast.alice)


@pytest.fixture
def incident(cast: World) -> Incident:
    return IncidentFactory(tenant=cast.acme)


def retry(cast: World, incident: Incident, status: str, run_id: str) -> Action:
    run = RunFactory(tenant=cast.acme, workflow=incident.workflow, run_id=run_id)
    leased = {"lease_token": 1} if status == Status.IN_PROGRESS else {}
    return ActionFactory(tenant=cast.acme, incident=incident, run=run, status=status, **leased)


def test_every_state_has_its_view(alice: Client, cast: World, incident: Incident) -> None:
    for status in Status:
        retry(cast, incident, status, f"run-{status}")
    for tab in ("queue", "running", "waiting", "unknown", "failed", "all"):
        text = alice.get(f"{ACTIONS}?tab={tab}").content.decode()
        shown = {status for status in Status if f"Retry of run-{status}</a>" in text}
        assert shown == {s for s in Status if tab in ("all", SHOWN_IN.get(s))}


def test_tabs_count_what_is_there(alice: Client, cast: World, incident: Incident) -> None:
    retry(cast, incident, Status.PARKED, "run-1")
    retry(cast, incident, Status.AWAITING_APPROVAL, "run-2")
    text = alice.get(ACTIONS).content.decode()
    assert '<span class="count" id="count-waiting">2</span>' in text
    assert '<span class="count" id="count-unknown">0</span>' in text


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", True),
        ("action_type=retry", True),
        ("action_type=escalate", False),
        ("workflow={workflow}", True),
        ("workflow=other", False),
        ("incident={incident}", True),
        ("incident=INC-1", False),
        ("page=9", True),
    ],
)
def test_filters_are_in_the_address(
    alice: Client, cast: World, incident: Incident, query: str, shown: bool
) -> None:
    retry(cast, incident, Status.PENDING, "run-1")
    asked = query.format(workflow=incident.workflow.slug, incident=str(incident))
    text = alice.get(f"{ACTIONS}?{asked}").content.decode()
    assert ("Retry of run-1</a>" in text) is shown
    assert ("No action matches" in text) is (not shown)


@pytest.mark.parametrize("query", ["tab=mine", "action_type=dance", "incident=first", "page=0"])
def test_a_filter_that_means_nothing_is_refused(alice: Client, query: str) -> None:
    assert alice.get(f"{ACTIONS}?{query}").status_code == 422


@pytest.mark.parametrize(
    ("tab", "says"),
    [
        ("queue", "The queue is empty"),
        ("running", "No call is under way"),
        ("waiting", "Nothing waits for a person"),
        ("unknown", "Every outcome is known"),
        ("failed", "No action has failed"),
        ("all", "Nothing has been done yet"),
    ],
)
def test_an_empty_view_says_what_that_means(alice: Client, tab: str, says: str) -> None:
    assert says in alice.get(f"{ACTIONS}?tab={tab}").content.decode()


def test_one_action_shows_its_attempts(alice: Client, cast: World, incident: Incident) -> None:
    action = retry(cast, incident, Status.FAILED, "run-1")
    AttemptFactory(
        tenant=cast.acme,
        action=action,
        status="failed",
        response_status=503,
        error="The workflow answered 503.",
        latency_ms=1234,
    )
    text = alice.get(reverse("actions:detail", args=[action.pk])).content.decode()
    assert "The workflow answered 503." in text
    assert "1,234 ms" in text
    assert f"act_{action.pk}" in text
    assert str(incident) in text


def test_the_list_asks_no_more_for_more_rows(
    alice: Client, cast: World, incident: Incident
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            alice.get(ACTIONS)
        return len(asked)

    retry(cast, incident, Status.PENDING, "run-1")
    few = queries()
    for number in range(2, 12):
        retry(cast, incident, Status.PENDING, f"run-{number}")
    assert queries() == few


def test_another_tenants_action_is_unknown(cast: World, incident: Incident) -> None:
    action = retry(cast, incident, Status.PENDING, "run-1")
    mallory = client_of(cast.mallory)
    assert mallory.get(reverse("actions:detail", args=[action.pk])).status_code == 404
    assert "run-1" not in mallory.get(ACTIONS).content.decode()
