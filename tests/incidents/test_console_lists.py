"""The incident list in pages: counted only so far, deep pages in the same order, no page beyond the end."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client

from incidents import console
from incidents.models import Incident
from incidents.presentation.figures import UpTo
from tenants.models import Tenant
from tenants.scoping import bound
from tests.cast import Travel, signed_in
from tests.factories import ActionFactory, IncidentFactory, WorkflowFactory

pytestmark = pytest.mark.django_db

MANY = 60


@pytest.fixture
def numbers(acme: Tenant) -> list[str]:
    """Of sixty open incidents, those seen last first; two at a time were seen at once."""
    with bound(acme.pk) as now:
        workflow = WorkflowFactory(tenant=acme)
        made = [
            IncidentFactory(
                tenant=acme, workflow=workflow, last_seen_at=now - timedelta(minutes=n // 2)
            )
            for n in range(MANY)
        ]
    ordered = sorted(made, key=lambda one: (one.last_seen_at, one.pk), reverse=True)
    return [str(incident) for incident in ordered]


@pytest.fixture
def client(alice: User) -> Client:
    return signed_in(alice)


def shown(client: Client, query: str) -> list[str]:
    text = client.get(f"/incidents/?tab=open&{query}").content.decode()
    return re.findall(r'<span class="meta"><span>(INC-\d+)</span>', text)


def test_many_incidents_come_in_pages(client: Client, numbers: list[str]) -> None:
    first, second = (client.get(f"/incidents/?tab=open&page={n}").content.decode() for n in (1, 2))
    assert "60 incidents" in first
    assert ('rel="prev"' in first, 'rel="next"' in first) == (False, True)
    assert ('rel="prev"' in second, 'rel="next"' in second) == (True, False)
    assert shown(client, "page=1") + shown(client, "page=2") == numbers


@pytest.mark.parametrize("page", ["3", "9999999"])
def test_beyond_the_end_is_the_last_page(client: Client, numbers: list[str], page: str) -> None:
    assert shown(client, f"page={page}") == numbers[50:]


@pytest.mark.parametrize("page", ["0", "-1", "x", "²", "1.5", "", "99999999999999999999"])
def test_a_page_that_means_nothing_is_the_first(
    client: Client, numbers: list[str], page: str
) -> None:
    assert shown(client, f"page={page}") == numbers[:50]


def test_a_deep_page_is_the_same_page(
    client: Client, numbers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "DEEP", 0)
    assert shown(client, "page=2") == numbers[50:]


def test_what_a_filter_finds_is_counted_too(client: Client, numbers: list[str]) -> None:
    page = client.get(f"/incidents/?tab=open&q={numbers[7]}").content.decode()
    assert re.search(r">1 incident\s", page)
    many = client.get("/incidents/?tab=open&status=detected").content.decode()
    assert "60 incidents" in many


def test_what_an_older_address_names_is_a_condition_like_any_other(
    client: Client, numbers: list[str]
) -> None:
    page = client.get("/incidents/?tab=open&workflow=<b> x&severity=high").content.decode()
    assert 'value="severity:high workflow:&quot;&lt;b&gt; x&quot;"' in page


def test_nothing_is_counted_further_than_anybody_reads(acme: Tenant, numbers: list[str]) -> None:
    with bound(acme.pk):
        mine = Incident.objects.for_tenant(acme)
        assert console.up_to(mine, most=59) == UpTo(59, is_more=True)
        assert console.up_to(mine, most=60) == UpTo(60)
    assert str(UpTo(10_000, is_more=True)) == "10,000+"


@pytest.mark.parametrize(("counted", "all_open"), [(60, "60"), (59, "59+")])
def test_tabs_count_in_one_look_what_they_would_count_one_by_one(
    acme: Tenant,
    alice: User,
    client: Client,
    numbers: list[str],
    monkeypatch: pytest.MonkeyPatch,
    counted: int,
    all_open: str,
) -> None:
    monkeypatch.setattr(console, "COUNTED", counted)
    with bound(acme.pk) as now:
        ids = list(Incident.objects.for_tenant(acme).values_list("pk", flat=True))
        mine = Incident.objects.for_tenant(acme)
        mine.filter(pk__in=ids[:3]).update(assignee=alice)
        mine.filter(pk__in=ids[3:5]).update(snoozed_until=now + timedelta(hours=1))
        mine.filter(pk__in=ids[5:9]).update(status="analyzing")  # its recovery is under way
        mine.filter(pk=ids[0]).update(snoozed_until=now - timedelta(hours=1))
        waits = mine.get(pk=ids[5])
        ActionFactory(tenant=acme, incident=waits, run=None, status="awaiting_approval")
    text = client.get("/incidents/?tab=open").content.decode()
    said = dict(re.findall(r'id="count-(\w+)">([^<]*)<', text))
    assert said == {"attention": "55", "mine": "3", "open": all_open, "snoozed": "2"}


def test_a_row_that_says_something_else_is_written_anew(
    acme: Tenant, client: Client, time_travel: Travel
) -> None:
    with bound(acme.pk) as now:
        incident = IncidentFactory(tenant=acme, title="before", last_seen_at=now)
    first, again = (client.get("/incidents/?tab=open").content.decode() for _ in range(2))
    with bound(acme.pk):
        Incident.objects.for_tenant(acme).filter(pk=incident.pk).update(title="<i>after")
    changed = client.get("/incidents/?tab=open").content.decode()
    time_travel(minutes=20)
    later = client.get("/incidents/?tab=open").content.decode()
    assert ["before" in text for text in (first, again, changed)] == [True, True, False]
    assert "&lt;i&gt;after" in changed
    assert [bool(re.search(r"data-ago>20m<", text)) for text in (changed, later)] == [False, True]
