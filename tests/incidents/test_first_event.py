"""A tenant that nothing was ever sent to is shown how, with its own address and a key that works."""

import html
import json
import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tenants.models import Tenant
from tests.cast import decide_all, digest_all, event, failure, signed_in, submit_all

pytestmark = pytest.mark.django_db

LIST, LINE, KEY = "/incidents/", "/incidents/first/", "/incidents/first/key/"


def text_of(person: User, path: str = LIST) -> str:
    return html.unescape(signed_in(person).get(path).content.decode())


def test_an_empty_list_shows_what_to_paste_with_the_real_address(alice: User, acme: Tenant) -> None:
    shown = text_of(alice)
    assert "Send your first event" in shown
    assert "http://testserver/api/v1/events" in shown
    assert "urllib.request" in shown
    assert "Nobody here may make a key" in shown  # an operator may not, and there is nobody else
    assert KEY not in shown


def test_who_may_not_make_a_key_is_told_who_may(alice: User, ann: User) -> None:
    assert "<b>ann</b> can make the key for you" in text_of(alice)


def test_the_key_fills_itself_in_once_and_later_when_it_is_asked_for(ann: User) -> None:
    assert 'hx-trigger="load, submit"' in text_of(ann)
    signed_in(ann).post(KEY)
    again = text_of(ann)
    assert 'hx-trigger="load, submit"' not in again
    assert "Make another key and fill it in" in again


def test_an_admin_gets_a_key_that_works_filled_in(ann: User, acme: Tenant) -> None:
    assert KEY in text_of(ann)
    for is_htmx in (True, False):
        made = signed_in(ann).post(KEY, headers={"HX-Request": "true"} if is_htmx else {})
        shown = html.unescape(made.content.decode())
        assert made.status_code == 201
        assert made.headers["Cache-Control"].count("no-store")
        assert ("<html" in shown) is not is_htmx
        pasted = re.search(r"Bearer (awf_\S+)'.*?-d '(\{.*?\n\})'", shown, re.DOTALL)
        assert pasted is not None
        sent = Client().post(
            "/api/v1/events",
            json.loads(pasted[2]) | {"idempotency_key": f"sent-{is_htmx}"},
            content_type="application/json",
            headers={"Authorization": f"Bearer {pasted[1]}"},
        )
        assert sent.status_code == 201, sent.content


def test_the_line_asks_until_an_incident_is_open_and_then_flips(alice: User, acme: Tenant) -> None:
    assert "Waiting for your first event" in text_of(alice, LINE)
    submit_all(acme, [event(run_id="run-1", payload=failure())])
    stored = text_of(alice, LINE)
    assert "Received" in stored
    assert "hx-trigger" in stored
    digest_all()
    decide_all()
    flipped = text_of(alice, LINE)
    assert re.search(r"Received <time.*opened <a href=.*INC-1", flipped, re.DOTALL)
    assert "hx-trigger" not in flipped


def test_nobody_elses_event_counts(mallory: User, acme: Tenant) -> None:
    submit_all(acme, [event(run_id="run-1", payload=failure())])
    assert "Waiting for your first event" in text_of(mallory, LINE)
