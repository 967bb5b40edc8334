"""An incident's address says which part of its story is told: a reload, a link and an answer to a verb keep it."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from incidents.models import Incident
from tenants import journal, scoping
from tenants.models import Tenant
from tests.cast import acting, signed_in
from tests.factories import IncidentFactory

pytestmark = pytest.mark.django_db
VERBS = ("detected", "decided", "planned", "commented")


@pytest.fixture
def incident(acme: Tenant, alice: User) -> Incident:
    incident = IncidentFactory(tenant=acme)
    with scoping.bound(acme.pk) as now:
        for verb in VERBS:
            journal.record(incident, verb, by=acting(alice), at=now, note=verb)
    return incident


@pytest.fixture
def client(alice: User) -> Client:
    return signed_in(alice)


def _told(page: str) -> list[str]:
    section = page[page.index('aria-labelledby="h-timeline"') :]
    return re.findall(r"<span><b>([^<]+)</b>", section[: section.index("</section>")])


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("decisions", ["Decision made"]),
        ("actions", ["Retry planned"]),
        ("notes", ["Note"]),
        ("", ["Note", "Retry planned", "Decision made", "Incident opened"]),
    ],
)
def test_the_timeline_tells_the_part_that_is_asked_for(
    client: Client, incident: Incident, part: str, told: list[str]
) -> None:
    query = {"timeline": part} if part else {}
    page = client.get(incident.get_absolute_url(), query).content.decode()
    assert _told(page) == told
    current = re.search(r'aria-label="What of the timeline">.*?aria-current="true">(\w+)<', page)
    assert current
    assert current[1] == (part.capitalize() or "All")


def test_each_choice_keeps_the_other(client: Client, incident: Incident) -> None:
    page = client.get(incident.get_absolute_url(), {"timeline": "notes", "span": "7d"})
    for link in ("?span=24h&amp;timeline=notes", "?span=7d&amp;timeline=actions#h-timeline"):
        assert f'href="{link}"' in page.content.decode()


def test_an_unknown_part_is_refused(client: Client, incident: Incident) -> None:
    assert client.get(incident.get_absolute_url(), {"timeline": "gossip"}).status_code == 422
