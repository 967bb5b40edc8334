"""From what was posted to the cards: the same answer through rows, and exactly the events it counted."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from awfdrs_site.lib import clock, rfc3339, wake
from incidents import analysing
from incidents.models import Analysis, Evidence, Incident
from tenants import scoping
from tenants.models import Tenant
from tests.cast import Api, digest_all, event, key_of, signed_in, submit_all
from tests.support.outages_generator import Outage, no_cause, vendor_outage

pytestmark = pytest.mark.django_db


def happened(tenant: Tenant, outage: Outage) -> Incident:
    """Its events, the last of them just now; the largest of the incidents that came of them."""
    last = max(body["occurred_at"] for body in outage.bodies)
    shift = clock.read() - datetime.fromisoformat(last)
    for body in outage.bodies:
        moment = datetime.fromisoformat(body["occurred_at"])
        body["occurred_at"] = rfc3339.format(moment + shift)
    for start in range(0, len(outage.bodies), 500):
        submit_all(tenant, outage.bodies[start : start + 500])
    digest_all()
    with scoping.bound(tenant.pk):
        return (
            Incident.objects.for_tenant(tenant)
            .filter(event_count__gt=0)
            .order_by("-event_count", "id")
            .select_related("workflow")[0]
        )


def analysis_of(tenant: Tenant, incident: Incident) -> dict[str, Any]:
    """What the API says once a worker has looked."""
    analysing.look(tenant_id=tenant.pk, incident_id=incident.pk)
    answer = Api(key_of(tenant)).get(f"/api/v1/incidents/{incident.pk}").json()
    found: dict[str, Any] = answer["analysis"]
    return found


def test_every_card_opens_exactly_the_events_it_counted(acme: Tenant) -> None:
    outage = vendor_outage(26)
    incident = happened(acme, outage)
    cards = analysis_of(acme, incident)["hypotheses"]
    assert (cards[0]["kind"], cards[0]["subject"]) == ("vendor", outage.culprit)
    for card in cards:
        listed = Api(key_of(acme)).get(card["events"]).json()
        assert listed["count"] == card["n"] > 0
        assert {one["outcome"] for one in listed["results"]} == {"failure"}


def test_the_page_shows_the_card_and_opens_its_events(acme: Tenant, bob: User) -> None:
    outage = vendor_outage(47)
    incident = happened(acme, outage)
    card = analysis_of(acme, incident)["hypotheses"][0]
    page = signed_in(bob).get(incident.get_absolute_url()).content.decode()
    assert "from rules and past incidents, no external calls" in page
    assert f"{card['n']} events counted" in page
    with scoping.bound(acme.pk):
        latest = Analysis.objects.for_tenant(acme).get(incident=incident).cards[0]["evidence"]
    opened = signed_in(bob).get(f"/incidents/evidence/{latest}/").content.decode()
    assert f"{card['n']} events counted" in opened


def test_without_a_cause_it_says_so(acme: Tenant, bob: User) -> None:
    incident = happened(acme, no_cause(33))
    found = analysis_of(acme, incident)
    assert (found["hypotheses"], found["findings"]["verdict"]) == ([], "no supported cause")
    page = signed_in(bob).get(incident.get_absolute_url()).content.decode()
    assert "No supported cause" in page


def test_it_looks_again_when_a_change_is_told_of_later(acme: Tenant) -> None:
    began = clock.read()
    bodies = [
        event(run_id=f"run-{n}", occurred_at=rfc3339.format(began - timedelta(seconds=60 * n)))
        for n in range(12)
    ]
    submit_all(acme, bodies)
    digest_all()
    with scoping.bound(acme.pk):
        incident = Incident.objects.for_tenant(acme).get()
    api = Api(key_of(acme))
    assert analysis_of(acme, incident)["hypotheses"] == []
    told = {
        "kind": "deploy",
        "summary": "checkout 4.2",
        "workflow": "checkout",
        "occurred_at": rfc3339.format(began - timedelta(minutes=14)),
    }
    assert api.post("/api/v1/changes", told).status_code == 201
    (card,) = analysis_of(acme, incident)["hypotheses"]
    assert (card["kind"], card["subject"], card["n"]) == ("change", "checkout 4.2", 12)


def test_looking_at_a_page_writes_nothing_and_asks_a_worker(
    acme: Tenant, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = happened(acme, Outage("", "", [event(run_id="run-1")]))
    asked: list[Any] = []
    monkeypatch.setattr(wake, "wake", lambda task, **about: asked.append(about["incident_id"]))
    page = signed_in(bob).get(incident.get_absolute_url()).content.decode()
    assert "A worker is asked to look" in page
    assert asked == [str(incident.pk)]
    with scoping.bound(acme.pk):
        assert not Analysis.objects.for_tenant(acme).exists()
        assert not Evidence.objects.for_tenant(acme).exists()
    assert analysing.look_due() == 1
    page = signed_in(bob).get(incident.get_absolute_url()).content.decode()
    assert "No supported cause" in page
    assert asked == [str(incident.pk)]


def test_it_can_be_switched_off(acme: Tenant, settings: Any) -> None:
    settings.ENABLE_AI_RCA = False
    incident = happened(acme, Outage("", "", [event(run_id="run-1")]))
    found = analysis_of(acme, incident)
    assert found["findings"]["is_switched_off"] is True
    assert found["hypotheses"] == []


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"workflow": "nobody"}, "/workflow"),
        ({"vendor": "nobody"}, "/vendor"),
        ({"occurred_at": "2999-01-01T00:00:00Z"}, "/occurred_at"),
        ({"summary": " "}, "/summary"),
    ],
)
def test_a_change_that_names_nothing_known_is_refused(
    acme: Tenant, wrong: dict[str, str], pointer: str
) -> None:
    body = {"kind": "deploy", "summary": "4.2", "occurred_at": "2026-01-19T10:00:00Z"} | wrong
    answer = Api(key_of(acme)).post("/api/v1/changes", body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
