"""The large tenant: made once, by sets, and every count adds up as if each event had been digested."""

import pytest
from django.core.management import CommandError
from django.db.models import Sum

from awfdrs_site.demo import seeding, volume
from awfdrs_site.demo.volume import VOLUME
from events.models import Event, EventKey, PendingEvent
from incidents.models import AffectedRun, EventLink, Incident, IncidentHour, Run
from incidents.states import OPEN, Severity
from tenants import scoping
from tenants.models import Membership

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

N_EVENTS, N_INCIDENTS = 4000, 200


@pytest.fixture
def made() -> volume.Made:
    seeding.seed(password="correct horse battery")
    return volume.seed(N_EVENTS, say=lambda step: None)


def test_a_large_tenant_adds_up(made: volume.Made) -> None:
    assert (made.events, made.incidents) == (N_EVENTS, N_INCIDENTS)
    with scoping.bound(VOLUME.id):
        incidents = Incident.objects.for_tenant(VOLUME.id)
        sums = incidents.aggregate(
            events=Sum("event_count"), affected=Sum("affected_runs"), hurt=Sum("unrecovered_runs")
        )
        hours = IncidentHour.objects.for_tenant(VOLUME.id).aggregate(n=Sum("n_events"))
        runs = Run.objects.for_tenant(VOLUME.id)
        assert sums == {
            "events": N_EVENTS,
            "affected": AffectedRun.objects.for_tenant(VOLUME.id).count(),
            "hurt": runs.unrecovered().count(),
        }
        assert hours["n"] == EventLink.objects.for_tenant(VOLUME.id).count() == N_EVENTS
        assert Event.objects.for_tenant(VOLUME.id).count() == N_EVENTS
        assert EventKey.objects.for_tenant(VOLUME.id).count() == N_EVENTS
        assert not PendingEvent.objects.for_tenant(VOLUME.id).exists()
        # an incident that is closed hurts nobody, and its number is its place in time
        assert not incidents.closed().filter(unrecovered_runs__gt=0).exists()
        numbers = list(incidents.order_by("opened_at", "number").values_list("number", flat=True))
        assert numbers == list(range(1, N_INCIDENTS + 1))


def test_it_is_spread_as_a_real_one_would_be(made: volume.Made) -> None:
    with scoping.bound(VOLUME.id) as now:
        incidents = list(Incident.objects.for_tenant(VOLUME.id))
        assert {incident.severity for incident in incidents} == set(Severity.values)
        assert 0 < sum(incident.status in OPEN for incident in incidents) < N_INCIDENTS / 2
        assert max(incident.event_count for incident in incidents) >= N_EVENTS / 10
        assert all(i.first_seen_at <= i.last_seen_at <= now for i in incidents)
        ages = [(now - incident.first_seen_at).days for incident in incidents]
        assert min(ages) == 0
        assert 30 < max(ages) <= 60
    with scoping.platform():
        assert Membership.objects.filter(tenant_id=VOLUME.id).count() == 2


def test_it_is_made_once(made: volume.Made) -> None:
    with pytest.raises(CommandError, match="there already"):
        volume.seed(N_EVENTS, say=lambda step: None)
    with scoping.bound(VOLUME.id):
        assert Event.objects.for_tenant(VOLUME.id).count() == N_EVENTS


def test_it_asks_for_a_sensible_number() -> None:
    with pytest.raises(CommandError, match="--events"):
        volume.seed(0, say=lambda step: None)
