"""The pages of events, of quarantine and of the books: found, read, cured, replayed, counted."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from events.models import QuarantinedEvent
from tenants import scoping
from tenants.models import Tenant
from tests.cast import Api, Travel, digest_all, event, key_of, signed_in, stored, submit
from tests.factories import QuarantinedEventFactory

pytestmark = pytest.mark.django_db


def text_of(user: User, path: str) -> str:
    answer = signed_in(user).get(path, headers={"Accept": "text/html"})
    assert answer.status_code == 200, path
    return answer.content.decode()


def replay(user: User, kept: QuarantinedEvent, patch: str) -> Any:
    path = reverse("quarantine:replay", args=[kept.pk])
    return signed_in(user).post(path, {"patch": patch}, headers={"Accept": "text/html"})


def test_events_are_found_by_filters_and_words(acme: Tenant, alice: User) -> None:
    submit(acme, run_id="run-1")
    submit(acme, run_id="run-2", event_type="payment.completed", payload={})
    digest_all()
    failed = text_of(alice, "/events/?outcome=failure")
    assert ("run-1" in failed, "run-2" in failed, "INC-1" in failed) == (True, False, True)
    for query, found in (("q=run-2", True), ("q=payment_tim", False), ("incident=INC-1", False)):
        assert ("run-2" in text_of(alice, f"/events/?{query}&workflow=checkout")) is found, query
    assert "No event matches" in text_of(alice, "/events/?q=nothing&vendor=stripe")
    # an unknown filter is no empty list
    assert signed_in(alice).get("/events/?outcome=odd").status_code == 422


def test_the_api_finds_events_by_words_too(acme: Tenant) -> None:
    sent = submit(acme, run_id="run-1")
    api = Api(key_of(acme))
    for text, n in (("provider did not", 1), (str(sent.event_id), 1), ("nothing%", 0)):
        assert api.get(f"/api/v1/events?q={text}").json()["count"] == n


def test_one_event_says_all_it_said_and_where_it_belongs(acme: Tenant, alice: User) -> None:
    submit(acme, run_id="run-1", region="<eu>")
    digest_all()
    (one,) = stored(acme)
    page = text_of(alice, f"/events/{one.pk}/")
    for said in ("payment_timeout", "&lt;eu&gt;", "INC-1", "Why grouped", "run-1", "corr-1"):
        assert said in page, said
    assert "/runs/" in page


def test_another_tenants_event_and_refused_event_are_unknown(
    acme: Tenant, alice: User, mallory: User
) -> None:
    submit(acme)
    kept = QuarantinedEventFactory(tenant=acme)
    for path in (f"/events/{stored(acme)[0].pk}/", f"/quarantine/{kept.pk}/"):
        assert signed_in(mallory).get(path).status_code == 404
    assert replay(mallory, kept, "{}").status_code == 404


def test_refused_events_are_grouped_by_reason(acme: Tenant, alice: User) -> None:
    for _ in range(2):
        QuarantinedEventFactory(tenant=acme)
    QuarantinedEventFactory(tenant=acme, reason="payload: required", errors=[])
    page = text_of(alice, "/quarantine/")
    assert "3 refused events wait" in page
    assert page.index("event_type: format") < page.index("payload: required")
    assert "payload: required" in text_of(alice, "/quarantine/?reason=payload: required")
    assert "Nothing here" in text_of(alice, "/quarantine/?state=replayed")


def test_an_operator_cures_and_replays_and_twice_creates_once(acme: Tenant, alice: User) -> None:
    kept = QuarantinedEventFactory(tenant=acme)
    assert "&quot;event_type&quot;:&quot;!&quot;" in text_of(alice, f"/quarantine/{kept.pk}/")
    still = replay(alice, kept, "")
    assert (still.status_code, "Still not valid" in still.content.decode()) == (422, True)
    assert replay(alice, kept, "[1]").status_code == 422
    for _ in range(2):
        answer = replay(alice, kept, '{"event_type": "payment.failed"}')
        (made,) = stored(acme)
        assert (answer.status_code, answer["Location"]) == (302, f"/events/{made.pk}/")
    with scoping.bound(acme.pk):
        done = QuarantinedEvent.objects.for_tenant(acme).get()
    assert (done.event_id, done.replayed_by) == (made.pk, "alice")
    assert "alice replayed it" in text_of(alice, f"/quarantine/{kept.pk}/")


def test_the_first_event_of_a_day_that_nobody_made_may_be_a_replayed_one(
    acme: Tenant, alice: User, time_travel: Travel
) -> None:
    submit(acme)
    time_travel(days=40)
    kept = QuarantinedEventFactory(tenant=acme)
    cure = json.dumps(event(occurred_at="2026-11-26T08:00:00Z"))
    assert replay(alice, kept, cure).status_code == 302
    assert len(stored(acme)) == 2


def test_a_viewer_reads_and_may_not_replay(acme: Tenant, bob: User) -> None:
    kept = QuarantinedEventFactory(tenant=acme)
    assert "Cure and replay" not in text_of(bob, f"/quarantine/{kept.pk}/")
    assert replay(bob, kept, "{}").status_code == 403


def test_what_each_key_sent_is_drawn_and_told(acme: Tenant, alice: User) -> None:
    api = Api(key_of(acme))
    for body in (event(), {}, event(tenant_id="deadbeef-0000-4000-8000-000000000003")):
        api.post("/api/v1/events", body)
    page = text_of(alice, "/quarantine/received/")
    assert "3 received in 24 hours" in page
    for kind in ("flow-in", "flow-kept", "flow-out"):
        assert f'class="{kind}"' in page
    assert "Nothing came in" not in page
