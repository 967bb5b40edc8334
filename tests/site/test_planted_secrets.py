"""Thirty secrets sent through every door and thrown in every error: no log line holds one of them (M54)."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.db import DataError, IntegrityError
from django.test import Client

from awfdrs_site.lib import logs, scrubbing, sweeping
from events import ingest
from tenants.models import Tenant
from tests.cast import Api, event, key_of

pytestmark = pytest.mark.django_db

# Each holds a word that nothing else does; the shapes are those that people paste.
WORD = "pl4nted"
SECRETS = {
    "payload_password": f"hunter2-{WORD}-01",
    "payload_card": f"4242-{WORD}-02",
    "payload_nested": f"nested-{WORD}-03",
    "payload_error_message": f"said-{WORD}-04",
    "payload_key": f"key-{WORD}-05",
    "event_type": f"type.{WORD}.06",
    "extra_member": f"extra-{WORD}-07",
    "bad_body": f"bad-{WORD}-08",
    "bearer": f"awf_00000000_{WORD}09abcdefghijk",
    "header_api_key": f"xkey-{WORD}-10",
    "header_cookie": f"cookie-{WORD}-11",
    "header_custom": f"custom-{WORD}-12",
    "query_token": f"query-{WORD}-13",
    "query_any": f"any-{WORD}-14",
    "sign_in_password": f"typed-{WORD}-15",
    "url_userinfo": f"user-{WORD}-16",
    "url_query": f"url-{WORD}-17",
    "error_pair": f"pair-{WORD}-18",
    "error_quoted": f"quoted {WORD} 19",
    "error_json": f"json-{WORD}-20",
    "error_bearer": f"{WORD}21abcdefgh",
    "error_database_row": f"row-{WORD}-22",
    "error_database_value": f"value-{WORD}-23",
    "error_statement": f"sql-{WORD}-24",
    "whsec": f"whsec_{WORD}25+/=",
    "jwt": f"eyJhbGciOi.{WORD}26.c2ln",
    "stripe": f"sk_live_{WORD}27",
    "github": f"ghp_{WORD}28abcdefgh",
    "private_key": f"-----BEGIN RSA PRIVATE KEY-----\n{WORD}-29\n-----END RSA PRIVATE KEY-----",
    "extra_field": f"field-{WORD}-30",
}
ERRORS = (
    ValueError(f"login failed: password={SECRETS['error_pair']}, user=ann"),
    ValueError(f"bad config: api_key: '{SECRETS['error_quoted']}'"),
    ValueError(f'body was {{"client_secret": "{SECRETS["error_json"]}"}}'),
    ValueError(f"sent Authorization: Bearer {SECRETS['error_bearer']}"),
    ConnectionError(
        f"https://ann:{SECRETS['url_userinfo']}@db.example.org/x?sig={SECRETS['url_query']}"
    ),
    IntegrityError(
        f"duplicate key\nDETAIL:  Key (email)=({SECRETS['error_database_row']}) exists."
    ),
    DataError(f'invalid input syntax for type uuid: "{SECRETS["error_database_value"]}"'),
    DataError(f"syntax error\nLINE 1: select '{SECRETS['error_statement']}'\n               ^"),
    ValueError(f"{SECRETS['whsec']} {SECRETS['jwt']} {SECRETS['stripe']} {SECRETS['github']}"),
    ValueError(SECRETS["private_key"]),
)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Every line of every logger, as the handlers of the product shape it."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(logs.json_formatter())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lines
    root.setLevel(before)
    root.removeHandler(handler)


def test_thirty_planted_secrets_are_in_no_log_line(
    log: io.StringIO, acme: Tenant, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(SECRETS) == 30
    say = SECRETS.__getitem__
    api = Api(key_of(acme))
    body = event(
        event_type=say("event_type"),
        payload={
            "password": say("payload_password"),
            "card": say("payload_card"),
            "deep": [{"er": say("payload_nested")}],
            "error_message": say("payload_error_message"),
            say("payload_key"): 1,
        },
    )
    headers = {
        "X-Api-Key": say("header_api_key"),
        "Cookie": f"sessionid={say('header_cookie')}",
        "X-Custom": say("header_custom"),
    }
    assert api.post("/api/v1/events", body, **headers).status_code == 201
    asked = f"/api/v1/incidents?token={say('query_token')}&q={say('query_any')}"
    api.post("/api/v1/events", body | {"extra": {"note": say("extra_member")}, "workflow": 7})
    api.client.post("/api/v1/events", say("bad_body"), content_type="application/json")
    assert Api(say("bearer")).get(asked, **headers).status_code == 401
    api.get(asked)
    Client().post("/sign-in/", {"username": "alice", "password": say("sign_in_password")})
    for error in ERRORS:

        def breaks(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(ingest, "store", breaks)
        assert api.post(f"/api/v1/events?key={say('query_any')}", body).status_code >= 422
        api.post("/api/v1/events", body)
        sweeping.each([("item",)], breaks)
    logging.getLogger("x").warning("odd", extra={"request_token": say("extra_field"), "n": 1})
    said = log.getvalue()
    # the errors are there, with where they came from, and what was secret is not
    for known in ("login failed", "duplicate key", "db.example.org", "Traceback", "sweep item"):
        assert known in said, known
    assert said.count(scrubbing.HIDDEN) >= len(ERRORS)
    found = [name for name, secret in SECRETS.items() if secret in said or secret in said.lower()]
    assert (found, [line[:400] for line in said.splitlines() if WORD in line]) == ([], [])
    assert all(json.loads(line)["message"] for line in said.splitlines())


@pytest.mark.parametrize(
    "line",
    [
        "sweep incidents.detection.digest failed",
        "Not Found: /incidents/01a21645-04a2-76fd-98ea-15b1d13e9abe/",
        'relation "events_event" does not exist',
        "journal head",
        "https://hooks.example.org/path",
        "2026-11-26T05:00:07.599491Z",
    ],
)
def test_what_is_no_secret_stays_readable(line: str) -> None:
    assert scrubbing.text(line) == line


def test_what_we_were_started_with_is_hidden_by_its_value(settings: object) -> None:
    key = settings.SECRET_KEY  # type: ignore[attr-defined]
    assert scrubbing.text(f"odd: {key}!") == f"odd: {scrubbing.HIDDEN}!"


def test_values_of_every_shape_are_scrubbed() -> None:
    told = scrubbing.scrub({"a": [("token=x1y2z3",)], "api_key": 7, "n": 1.5, "none": None})
    assert told == {
        "a": [[f"token={scrubbing.HIDDEN}"]],
        "api_key": scrubbing.HIDDEN,
        "n": 1.5,
        "none": None,
    }
    assert scrubbing.scrub(ValueError("password=x")) == f"ValueError('password={scrubbing.HIDDEN}')"
    assert len(scrubbing.text("a" * 100_000)) == scrubbing.TEXT_MOST + 1


@pytest.mark.parametrize(
    "start", ["a", "?a=", "://", "token", "-----BEGIN PRIVATE KEY-----", "1:\n"]
)
def test_no_text_makes_it_slow(start: str) -> None:
    """Each shape reads a text once: twice the text is about twice the steps, never four times."""
    assert len(scrubbing.text(start * 20_000)) <= scrubbing.TEXT_MOST + 1
