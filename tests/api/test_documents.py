"""The OpenAPI document is whole and valid, and its two pages ask this host alone."""

import re
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
from django.test import Client
from drf_spectacular.validation import validate_schema

from awfdrs_site import api_docs, api_urls
from tenants.models import Tenant
from tests.api.access_table import API, OPEN
from tests.api.world import one_of_everything
from tests.cast import Api, key_of


def _is_uri(value: object) -> bool:
    """By itself the checker takes anything for one."""
    return not isinstance(value, str) or bool(urlsplit(value).scheme)


FORMATS = jsonschema.FormatChecker()
FORMATS.checks("uri")(_is_uri)


def test_the_schema_is_openapi_3_1_and_valid(client: Client) -> None:
    answer = client.get("/api/schema")
    assert answer.json()["openapi"].startswith("3.1")
    validate_schema(answer.json())  # type: ignore[no-untyped-call]


def test_every_route_is_in_the_schema_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    api_docs.document.cache_clear()
    documented = {
        (method.upper(), path)
        for path, operations in api_docs.document()["paths"].items()
        for method in operations
    }
    assert documented == {
        (method, f"/api/v1/{route.replace('<id:pk>', '{id}')}") for method, route in API
    }
    assert len(api_urls.canonical) == len({route for _, route in API})
    # the generator complains here about what it had to guess
    assert capsys.readouterr().err == ""


def test_every_read_answers_what_the_schema_promises(acme: Tenant) -> None:
    things, api = one_of_everything(acme, "acme"), Api(key_of(acme))
    document = api_docs.document()
    for (method, route), row in API.items():
        if method != "GET" or row.verb == OPEN:
            continue
        answer = api.get(f"/api/v1/{route.replace('<id:pk>', str(things.ids.get(row.of)))}")
        operation = document["paths"][f"/api/v1/{route.replace('<id:pk>', '{id}')}"]["get"]
        promised = operation["responses"]["200"]["content"]["application/json"]["schema"]
        _conforms(answer.json(), promised, document)


def test_a_refusal_answers_what_the_schema_promises(acme: Tenant) -> None:
    document = api_docs.document()
    answer = Api(key_of(acme)).get("/api/v1/incidents?status=bogus")
    problem = document["paths"]["/api/v1/incidents"]["get"]["responses"]["default"]
    _conforms(answer.json(), problem["content"]["application/problem+json"]["schema"], document)


def _conforms(body: Any, schema: dict[str, Any], document: dict[str, Any]) -> None:
    jsonschema.validate(
        body,
        schema | {"components": document["components"]},
        cls=jsonschema.Draft202012Validator,
        format_checker=FORMATS,
    )


@pytest.mark.parametrize("page", ["/docs", "/docs/", "/redoc", "/redoc/"])
def test_the_pages_name_no_other_host_and_run_no_script_of_their_own(
    client: Client, page: str
) -> None:
    answer = client.get(page)
    assert answer.status_code == 200
    text = answer.content.decode()
    assert not re.search(r"https?://|//[a-z]", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))
    policy = answer["Content-Security-Policy"]
    assert "script-src 'self';" in f"{policy};"
    assert "style-src 'self' 'unsafe-inline'" in policy
    assert "worker-src blob:" in policy
    assert "img-src 'self' data:" in policy


def test_no_other_page_is_let_more(client: Client) -> None:
    assert "unsafe-inline" not in client.get("/sign-in/")["Content-Security-Policy"]
    assert "unsafe-inline" not in client.get("/api/schema")["Content-Security-Policy"]


def test_the_bundle_asks_its_makers_host_for_nothing(client: Client) -> None:
    text = client.get("/redoc/bundle.js").content.decode()
    assert len(text) > 100_000
    assert "cdn.redoc.ly" not in text
    assert "fonts.googleapis" not in text
