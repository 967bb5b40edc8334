"""Calls that the served schema allows and calls that it does not, by everybody: none is answered 500 or undocumented.

The generator is our own, from the schema with hypothesis: schemathesis is not among what we install.
"""

import json
from functools import cache
from typing import Any
from uuid import uuid4

import jsonschema
import pytest
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from awfdrs_site import api_docs
from tenants.models import Tenant
from tenants.states import Role, Scope
from tests.api.access_table import API
from tests.api.test_documents import FORMATS as FORMATS_CHECKED
from tests.api.world import Things, one_of_everything
from tests.cast import key_of
from tests.factories import MembershipFactory
from tests.faults.sizes import sized

CALLS = sized(small=100, full=10_000)
TEXTS = st.one_of(st.text(max_size=30), st.sampled_from(["", "\x00", "'; --", "١٢", "-1", "1e999"]))
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
FORMATS = {
    "uuid": st.uuids().map(str),
    "date-time": st.datetimes().map(lambda at: at.isoformat() + "Z"),
}
OPERATIONS = sorted(API)
EVERY_SCOPE = "every scope"
CALLERS = (EVERY_SCOPE, *Role, *Scope, "nobody")
_OF_NO_USE = {"tenant_id"}  # another tenant's is 403: tests/api/test_access_matrix.py


@cache
def document() -> dict[str, Any]:
    return api_docs.document()


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = document()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    return found


def valid(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values as the schema describes them."""
    schema = _resolved(schema)
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return st.one_of([valid(one) for one in schema[several]])
    if "allOf" in schema:
        return valid(schema["allOf"][0])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = schema.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    return st.one_of([_of_kind(kind, schema) for kind in kinds])


def _of_kind(kind: str | None, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if kind == "object":
        return _object(schema)
    if kind == "array":
        return st.lists(valid(schema.get("items", {})), max_size=3)
    least, most = schema.get("minimum"), schema.get("maximum")
    plain: dict[str | None, st.SearchStrategy[Any]] = {
        "string": FORMATS.get(schema.get("format", ""), TEXTS),
        "integer": st.integers(least, most),
        "number": st.floats(least, most, allow_nan=False),
        "boolean": st.booleans(),
        "null": st.none(),
    }
    return plain.get(kind, ANYTHING)


def _object(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    known = schema.get("properties", {})
    needed = set(schema.get("required", ()))
    return st.fixed_dictionaries(
        {name: valid(one) for name, one in known.items() if name in needed},
        optional={name: valid(one) for name, one in known.items() if name not in needed},
    )


def _body(draw: Any, operation: dict[str, Any], method: str) -> bytes:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if method == "GET" or not draw(st.integers(0, 9)):
        return b""
    if content and draw(st.booleans()):
        return json.dumps(draw(valid(content["schema"]))).encode()
    return json.dumps(draw(ANYTHING)).encode()


def _query(draw: Any, operation: dict[str, Any]) -> dict[str, Any]:
    known = [one for one in operation.get("parameters", ()) if one["in"] == "query"]
    chosen = draw(st.lists(st.sampled_from(known), max_size=3)) if known else []
    asked = {
        one["name"]: draw(st.one_of(valid(one["schema"]), TEXTS))
        for one in chosen
        if one["name"] not in _OF_NO_USE
    }
    if not draw(st.integers(0, 7)):
        asked[draw(st.text(min_size=1, max_size=5))] = draw(TEXTS)
    return asked


@pytest.fixture
def things(acme: Tenant) -> Things:
    return one_of_everything(acme, "acme-word")


def _caller(tenant: Tenant, who: str) -> tuple[Client, dict[str, str]]:
    client = Client(raise_request_exception=False)
    if who == "nobody":
        return client, {}
    if who in Role:
        client.force_login(MembershipFactory(tenant=tenant, role=who).user)
        return client, {}
    scopes = [] if who == EVERY_SCOPE else [Scope(who)]
    return client, {"Authorization": f"Bearer {key_of(tenant, *scopes)}"}


@pytest.mark.faults
@pytest.mark.django_db
def test_no_call_by_anybody_is_answered_500_or_as_nobody_documented(
    acme: Tenant, things: Things, capsys: pytest.CaptureFixture[str]
) -> None:
    callers = {who: _caller(acme, who) for who in CALLERS}
    answered: list[tuple[str, str, str, int]] = []

    @given(data=st.data())
    # nobody waits for the smallest call that fails: the first says enough
    @settings(
        max_examples=CALLS,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )
    def call(data: st.DataObject) -> None:
        who = data.draw(st.sampled_from(CALLERS))
        method, route = data.draw(st.sampled_from(OPERATIONS))
        path = f"/api/v1/{route}"
        operation = document()["paths"][path.replace("<id:pk>", "{id}")][method.lower()]
        own = things.ids.get(API[method, route].of)
        pk = data.draw(st.sampled_from([*[str(own)] * 6, str(uuid4()), "nonsense", "0"]))
        client, headers = callers[who]
        answer = client.generic(
            method,
            path.replace("<id:pk>", pk),
            _body(data.draw, operation, method),
            content_type="application/json",
            headers=headers,
            query_params=_query(data.draw, operation),
        )
        _judge(answer, operation, (who, method, path))
        answered.append((who, method, route, answer.status_code))

    call()
    n_good = sum(status < 400 for *_, status in answered)
    n_asked = len({asked[:3] for asked in answered})
    with capsys.disabled():
        print(f"\n{len(answered)} calls, {n_asked} of caller × operation: {n_good} did something")
    # the control: what was asked was not all refused
    assert n_good >= CALLS // 100


def _judge(answer: Any, operation: dict[str, Any], asked: tuple[str, ...]) -> None:
    assert answer.status_code < 500 or "health" in asked[-1], (*asked, answer.content)
    known = operation["responses"]
    if answer.status_code >= 400:
        assert str(answer.status_code) in known or "default" in known, (*asked, answer.status_code)
        assert answer["Content-Type"] == "application/problem+json", asked
        schema = known["default"]["content"]["application/problem+json"]["schema"]
        assert answer.json()["status"] == answer.status_code
    else:
        assert str(answer.status_code) in known, (*asked, answer.status_code)
        schema = known[str(answer.status_code)]["content"]["application/json"]["schema"]
    jsonschema.validate(
        answer.json(),
        schema | {"components": document()["components"]},
        cls=jsonschema.Draft202012Validator,
        format_checker=FORMATS_CHECKED,
    )
