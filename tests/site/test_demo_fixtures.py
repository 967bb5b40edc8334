"""API.md's acceptance fixtures: the same objects every time, with fresh keys."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client
from pytest_django.fixtures import Settings

from awfdrs_site.demo import cast
from tests.cast import Api

pytestmark = pytest.mark.django_db
NAMES = """
    BASE_URL TENANT_A TENANT_B WORKFLOW_A WORKFLOW_B INCIDENT_A INCIDENT_B ACTION_A ACTION_IRREVERSIBLE_A ACTION_B
    KEY_INGEST_A KEY_INGEST_B KEY_VIEWER_A KEY_OPERATOR_A KEY_CONFIG_A KEY_REVOKED_A KEY_LIMITED_A KEYPREFIX_INGEST_A
    SESSION_OPERATOR_A CURSOR_B USER_OPERATOR USER_ADMIN USER_VIEWER USER_OUTSIDER PASSWORD
"""
FRESH = {name for name in NAMES.split() if name.startswith(("KEY", "SESSION"))}


@pytest.fixture(autouse=True)
def cheap_passwords(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def made() -> dict[str, str]:
    out = StringIO()
    call_command("fixtures", stdout=out)
    values: dict[str, str] = json.loads(out.getvalue())
    return values


def status_of(key: str, path: str) -> int:
    status: int = Api(key).get(f"/api/v1{path}").status_code
    return status


def test_every_promised_name_is_there_and_nothing_else() -> None:
    assert made().keys() == set(NAMES.split())


def test_again_the_objects_are_the_same_and_the_keys_are_fresh() -> None:
    once, again = made(), made()
    changed = {name for name in once if once[name] != again[name]}
    assert changed - {"CURSOR_B"} == FRESH  # a cursor carries the second it was made in


def test_the_objects_are_what_they_are_called() -> None:
    values = made()
    operator = Api(values["KEY_OPERATOR_A"])
    action = operator.get(f"/api/v1/actions/{values['ACTION_A']}").json()
    assert (action["action_type"], action["status"]) == ("circuit_breaker_open", "completed")
    retry = operator.get(f"/api/v1/actions/{values['ACTION_IRREVERSIBLE_A']}").json()
    assert (retry["action_type"], retry["status"]) == ("retry", "completed")
    sent_back = operator.post(f"/api/v1/actions/{values['ACTION_IRREVERSIBLE_A']}/reverse", {})
    assert sent_back.status_code == 409
    reversed_ = operator.post(f"/api/v1/actions/{values['ACTION_A']}/reverse", {})
    assert reversed_.status_code == 201
    # reversed meanwhile, it is still the same action
    assert made()["ACTION_A"] == values["ACTION_A"]


def test_tenant_bs_objects_are_nobodys_in_tenant_a() -> None:
    values = made()
    key = values["KEY_OPERATOR_A"]
    assert status_of(key, f"/incidents/{values['INCIDENT_A']}") == 200
    for path in (f"/incidents/{values['INCIDENT_B']}", f"/actions/{values['ACTION_B']}"):
        assert status_of(key, path) == 404
    assert status_of(key, f"/incidents?cursor={values['CURSOR_B']}") == 422


def test_the_keys_may_what_their_names_say() -> None:
    values = made()
    allowed = {name: status_of(values[name], "/incidents") for name in values if "KEY_" in name}
    assert allowed == {
        "KEY_INGEST_A": 403,
        "KEY_INGEST_B": 403,
        "KEY_LIMITED_A": 403,
        "KEY_VIEWER_A": 200,
        "KEY_OPERATOR_A": 200,
        "KEY_CONFIG_A": 200,
        "KEY_REVOKED_A": 401,
    }
    # a key cut short is nobody's
    assert values["KEY_INGEST_A"].startswith(values["KEYPREFIX_INGEST_A"])
    assert status_of(values["KEYPREFIX_INGEST_A"], "/incidents") == 401


def test_the_session_is_the_operators() -> None:
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = made()["SESSION_OPERATOR_A"]
    answer = client.get("/api/v1/incidents")
    assert answer.status_code == 200
    assert {item["tenant_id"] for item in answer.json()["results"]} == {str(cast.ACME.id)}
