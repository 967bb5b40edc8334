"""Days beyond retention go whole; what explains an incident is copied before, and nothing undigested is lost."""

import pytest
from django.db import DatabaseError, connection
from pytest_django.fixtures import Settings

from awfdrs_site.lib import clock
from events import partitions
from events.models import Event, EventKey, KeptEvent
from incidents import retaining
from tenants import scoping
from tenants.models import Tenant
from tests.cast import Api, Travel, digest_all, event, key_of, stored, submit, submit_all

pytestmark = pytest.mark.django_db(transaction=True)


def kept(tenant: Tenant) -> list[KeptEvent]:
    with scoping.bound(tenant.pk):
        return list(KeptEvent.objects.for_tenant(tenant).order_by("id"))


def keys(tenant: Tenant) -> int:
    with scoping.bound(tenant.pk):
        return int(EventKey.objects.for_tenant(tenant).count())


def test_old_days_go_and_the_first_and_last_event_of_an_incident_stay(
    acme: Tenant, time_travel: Travel, settings: Settings
) -> None:
    time_travel(days=400)  # days that no other test uses
    partitions.make(now=clock.read())
    submit_all(acme, [event(run_id=f"run-{n}") for n in range(4)])
    first, *_, last = stored(acme)
    time_travel(days=10)
    waiting = submit(acme, run_id="later")  # of another day
    settings.EVENT_RETENTION_DAYS = 8
    retaining.let_go()
    # what nobody has digested is never dropped
    assert (len(stored(acme)), kept(acme)) == (5, [])
    digest_all()
    retaining.let_go()
    retaining.let_go()
    assert [one.pk for one in stored(acme)] == [waiting.event_id]
    assert [one.pk for one in kept(acme)] == [first.pk]
    assert kept(acme)[0].payload == first.payload
    # a key lives as long as its event
    assert keys(acme) == 1
    assert last.pk != first.pk
    # what was kept can still be read
    found = Api(key_of(acme)).get(f"/api/v1/events/{first.pk}")
    assert (found.status_code, found.json()["run_id"]) == (200, "run-0")


def test_nobody_drops_a_day_that_is_not_over(acme: Tenant) -> None:
    submit(acme)
    with (
        pytest.raises(DatabaseError, match="not over"),
        scoping.pipeline() as now,
        connection.cursor() as cursor,
    ):
        cursor.execute("select awf_drop_partition('events_event', %s)", [now.date()])
    with scoping.bound(acme.pk):
        assert Event.objects.for_tenant(acme).count() == 1
