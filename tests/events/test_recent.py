"""The newest events are found as if every day were read, and only as many days are read as it takes."""

from datetime import timedelta
from itertools import product
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from awfdrs_site.lib import clock
from events import partitions, recent
from events.models import Event
from tenants import scoping
from tenants.models import Tenant
from tests.cast import Api, key_of
from tests.factories import WorkflowFactory
from tests.support.plain_events import add_event

DAYS_AGO = (0, 0, 0, 3, 5, 20, 40)


@pytest.fixture
def made(acme: Tenant) -> list[UUID]:
    """Events of today, of this week and older ones, the newest first."""
    workflow, now = WorkflowFactory(tenant=acme), clock.now()
    moments = [now - timedelta(days=days, seconds=place) for place, days in enumerate(DAYS_AGO)]
    for at in moments[2:]:
        partitions.make(now=at)
    with scoping.bound(acme.pk):
        for at in moments:
            add_event(acme, workflow, at=at)
        return list(Event.objects.for_tenant(acme).order_by("-id").values_list("pk", flat=True))


@pytest.mark.django_db
def test_they_are_those_that_a_look_at_every_day_finds(acme: Tenant, made: list[UUID]) -> None:
    with scoping.bound(acme.pk):
        rows = Event.objects.for_tenant(acme).order_by("-id")
        for n, start in product(range(9), (0, 2, 6, 9)):
            found = recent.newest(rows, n, start=start)
            assert [one.pk for one in found] == made[start : start + n]
        for n, place in product(range(9), range(len(made))):
            before = made[place]
            older = recent.newest(rows.filter(pk__lt=before), n, before=before)
            assert [one.pk for one in older] == made[place + 1 : place + 1 + n]


@pytest.mark.parametrize(("n", "n_statements"), [(3, 1), (5, 2), (6, 3), (8, 3)])
@pytest.mark.django_db
def test_a_day_is_looked_at_first_and_then_a_week(
    acme: Tenant, made: list[UUID], n: int, n_statements: int
) -> None:
    with (
        scoping.bound(acme.pk),
        CaptureQueriesContext(
            connection,
        ) as asked,
    ):
        recent.newest(Event.objects.for_tenant(acme).order_by("-id"), n)
    assert len(asked) == n_statements


@pytest.mark.django_db
def test_the_api_turns_pages_through_all_of_them(acme: Tenant, made: list[UUID]) -> None:
    api, seen, url = Api(key_of(acme)), [], "/api/v1/events?page_size=2"
    while url:
        page = api.get(url).json()
        seen += [one["id"] for one in page["results"]]
        url = page["next"] and page["next"].removeprefix("http://testserver")
    assert seen == [str(pk) for pk in made]
