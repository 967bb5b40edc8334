"""An incident's events one by one: first, previous, next, last, and what the last success said otherwise."""

import re

import pytest
from django.contrib.auth.models import User

from tenants.models import Tenant
from tests.cast import digest_all, event, failure, only_incident, signed_in, stored, submit
from tests.factories import IncidentFactory

pytestmark = pytest.mark.django_db


def test_events_are_walked_and_compared_with_the_last_success(acme: Tenant, alice: User) -> None:
    good = failure(region="eu-1", error_code="", error_message="")
    submit(acme, **event(run_id="run-0", event_type="payment.completed", payload=good))
    digest_all()
    for n in range(3):
        submit(acme, **event(run_id=f"run-{n + 1}", payload=failure(region="eu-2<b>")))
    digest_all()
    client, incident = signed_in(alice), only_incident(acme)
    page = client.get(f"/incidents/{incident.pk}/events/").content.decode()
    assert "First event of" in page
    assert "run run-1" in page
    assert "<code>region</code>" in page
    assert "eu-2&lt;b&gt;" in page
    walked = []
    while found := re.search(r'rel="next" href="([^"]+)"', page):
        page = client.get(found[1]).content.decode()
        walked += re.findall(r"run (run-\d)", page)
    assert walked == ["run-2", "run-3"]
    assert "Last event of" in page


def test_an_event_of_another_incident_is_not_shown(acme: Tenant, alice: User) -> None:
    submit(acme, **event())
    digest_all()
    other = IncidentFactory(tenant=acme)
    at = stored(acme)[0].pk
    client = signed_in(alice)
    assert client.get(f"/incidents/{other.pk}/events/?at={at}").status_code == 404
    assert client.get(f"/incidents/{other.pk}/events/?at=nonsense").status_code == 404
