"""What an open list re-reads: true as of what its console heard, each tenant's apart, and once for all who ask."""

import re
import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.handlers.asgi import ASGIRequest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from awfdrs_site.lib import live
from incidents import assigning
from incidents.models import Incident
from tenants.models import Tenant
from tenants.scoping import bound
from tests.cast import acting, signed_in
from tests.factories import IncidentFactory

pytestmark = pytest.mark.django_db

ROWS = reverse("incidents:rows")


@pytest.fixture
def incident(acme: Tenant) -> Incident:
    with bound(acme.pk) as now:
        return IncidentFactory(tenant=acme, title="Stripe is down", event_count=4, last_seen_at=now)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Since when everybody who asks has to know everything; empty: until they asked."""
    moments: list[float] = []
    monkeypatch.setattr(live, "known_since", lambda _request: (moments or [time.monotonic()])[-1])
    return moments


def read(client: Client, *incidents: Incident, **query: Any) -> str:
    ids = ",".join(str(incident.pk) for incident in incidents)
    answer = client.get(ROWS, {"tab": "open", "ids": ids, **query})
    assert answer.status_code == 200
    return answer.content.decode()


def events_in(text: str) -> list[str]:
    return re.findall(r'<td class="cell-events">(\d+)</td>', text)


def grow(incident: Incident) -> None:
    with bound(incident.tenant_id):
        Incident.objects.for_tenant(incident.tenant_id).update(event_count=5)


def test_a_change_that_is_there_when_somebody_asks_is_shown(
    alice: User, incident: Incident
) -> None:
    client = signed_in(alice)
    assert events_in(read(client, incident)) == ["4"]
    grow(incident)
    assert events_in(read(client, incident)) == ["5"]


def test_consoles_that_heard_the_same_read_incidents_once(
    alice: User, ann: User, incident: Incident, at: list[float]
) -> None:
    at.append(time.monotonic())
    first, second = signed_in(alice), signed_in(ann)
    text = read(first, incident)
    with CaptureQueriesContext(connection) as asked:
        assert read(second, incident) == text
    assert not [one["sql"] for one in asked if "incidents_" in one["sql"]]


def test_a_later_message_is_never_answered_from_an_earlier_read(
    alice: User, incident: Incident, at: list[float]
) -> None:
    client = signed_in(alice)
    at.append(time.monotonic())
    read(client, incident)
    grow(incident)
    assert events_in(read(client, incident)) == ["4"]  # the control: what it heard of is older
    at.append(time.monotonic())
    assert events_in(read(client, incident)) == ["5"]


def test_another_tenants_console_finds_nothing_of_what_was_read(
    alice: User, mallory: User, incident: Incident, at: list[float]
) -> None:
    at.append(time.monotonic())
    assert "Stripe is down" in read(signed_in(alice), incident)
    theirs = read(signed_in(mallory), incident)
    assert events_in(theirs) == []
    assert "Stripe is down" not in theirs
    assert 'id="count-open" hx-swap-oob="true">0<' in theirs


def test_each_person_is_told_how_many_are_their_own(
    alice: User, ann: User, incident: Incident, at: list[float]
) -> None:
    with bound(incident.tenant_id) as now:
        assigning.assign(incident, to=alice, by=acting(ann), now=now)
    at.append(time.monotonic())
    mine, others = (read(signed_in(who), incident) for who in (alice, ann))
    assert 'id="count-mine" hx-swap-oob="true">1<' in mine
    assert 'id="count-mine" hx-swap-oob="true">0<' in others


@pytest.mark.parametrize("query", [{"tab": "mine"}, {"q": "assignee:me"}])
def test_what_is_asked_of_oneself_is_nobody_elses_answer(
    alice: User, ann: User, incident: Incident, at: list[float], query: dict[str, str]
) -> None:
    with bound(incident.tenant_id) as now:
        assigning.assign(incident, to=alice, by=acting(ann), now=now)
    at.append(time.monotonic())
    mine, others = (read(signed_in(who), incident, **query) for who in (alice, ann))
    assert ("row-gone" in mine, "row-gone" in others) == (False, True)


def test_a_query_that_means_nothing_is_refused(alice: User, incident: Incident) -> None:
    answer = signed_in(alice).get(ROWS, {"q": "severity:purple", "ids": str(incident.pk)})
    assert answer.status_code == 422


def test_a_request_says_since_when_it_has_to_know(rf: Any) -> None:
    scope = {"type": "http", "method": "GET", "path": ROWS, "headers": [], "query_string": b""}
    told: Any = ASGIRequest({**scope, live.KNOWN_SINCE: 12.5}, None)  # type: ignore[arg-type]
    assert live.known_since(told) == 12.5
    before = time.monotonic()
    assert before <= live.known_since(rf.get(ROWS)) <= time.monotonic()
