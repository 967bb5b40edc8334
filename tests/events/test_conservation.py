"""The books of what came in: exact at any moment, whoever adds them up and how often."""

from datetime import timedelta
from uuid import uuid4

import pytest

from awfdrs_site.lib import clock
from events import conservation
from events.conservation import Tally
from tenants import scoping
from tenants.models import Tenant
from tests.threads import at_once

KEY = uuid4()
ONE = Tally(received=3, accepted=1, quarantined=1, refused=1)


def add(tenant: Tenant, tally: Tally = ONE) -> None:
    with scoping.bound(tenant.pk) as now:
        conservation.count(tenant.pk, KEY, tally, now=now)


def books(tenant: Tenant) -> list[conservation.Hour]:
    with scoping.bound(tenant.pk):
        since = clock.now() - timedelta(hours=1)
        return conservation.by_hour(tenant.pk, since=since.replace(minute=0))


@pytest.mark.django_db
def test_the_books_are_the_same_before_and_after_they_are_added_up(
    acme: Tenant, globex: Tenant
) -> None:
    add(acme)
    add(globex, Tally(received=1, limited=1))
    conservation.add_up()
    add(acme)
    before = books(acme)
    assert conservation.total(before) == ONE + ONE
    assert {one.api_key_id for one in before} == {KEY}
    conservation.add_up()
    assert books(acme) == before
    # another tenant's are another tenant's
    assert conservation.total(books(globex)).limited == 1


@pytest.mark.django_db(transaction=True)
def test_many_may_add_up_at_once(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conservation, "AT_ONCE", 7)
    for _ in range(40):
        add(acme)
    at_once(4, lambda number: conservation.add_up() if number % 2 else add(acme))
    conservation.add_up()
    assert conservation.total(books(acme)).received == 42 * 3


def test_a_tally_balances_when_everything_has_a_verdict() -> None:
    assert ONE.is_balanced
    assert not Tally(received=2, accepted=1).is_balanced
