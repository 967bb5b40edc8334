"""The matrix of routes and callers, generated from the URL conf: a new route without a row fails here."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from tenants.access import ROLE_VERBS, SCOPE_VERBS
from tenants.models import Tenant
from tenants.states import Role, Scope
from tests.api.access_table import API, OPEN, PAGES, Row
from tests.api.world import Things, lines_written, one_of_everything
from tests.cast import Api, key_of
from tests.factories import MembershipFactory

BASE = "api/v1/"
UNKNOWN = UUID("deadbeef-0000-4000-8000-000000000003")
ELSEWHERE = re.compile(r"^(admin($|/)|static/(?!bundle))")  # tested by their own walkers
WRITES = ("POST", "PATCH", "PUT", "DELETE")
CANARY = "globex-canary"


@dataclass(frozen=True)
class Route:
    path: str
    view: Any

    @property
    def methods(self) -> list[str]:
        return [method.upper() for method in getattr(_class_of(self.view), "verbs", {})]


def _class_of(view: Any) -> Any:
    return getattr(view, "cls", None) or getattr(view, "view_class", None) or view


def routes(patterns: list[Any] | None = None, prefix: str = "") -> Iterator[Route]:
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern) and not ELSEWHERE.match(path):
            yield Route(path, pattern.callback)


def _api_routes() -> list[Route]:
    return [route for route in routes() if route.path.startswith(BASE)]


@dataclass(frozen=True)
class Caller:
    """A test client that is somebody."""

    name: str
    client: Client
    token: str
    verbs: frozenset[str]

    def call(self, method: str, path: str, row: Row, *, query: str = "") -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        asked = "&".join(filter(None, [query, row.query]))
        return self.client.generic(
            method,
            f"/{BASE}{path}?{asked}",
            b"" if row.body is None else json.dumps(row.body).encode(),
            content_type="application/json",
            headers=headers,
        )


def _client() -> Client:
    return Client(raise_request_exception=False)


@pytest.fixture
def callers(acme: Tenant) -> list[Caller]:
    """One key of every scope, one person of every role."""
    made = []
    for scope in Scope:
        made.append(Caller(f"key {scope}", _client(), key_of(acme, scope), SCOPE_VERBS[scope]))
    for role in Role:
        client = _client()
        client.force_login(MembershipFactory(tenant=acme, role=role).user)
        made.append(Caller(f"{role}", client, "", ROLE_VERBS[role]))
    return made


@pytest.fixture
def mine(acme: Tenant) -> Things:
    return one_of_everything(acme, "acme-word")


@pytest.fixture
def theirs(globex: Tenant) -> Things:
    return one_of_everything(globex, CANARY)


def _path(route: str, thing: UUID | None) -> str:
    return route.replace("<id:pk>", str(thing))


def test_every_api_route_has_a_row_and_every_row_a_route() -> None:
    # M50: a new route fails until somebody says who may use it
    found = {
        (method, route.path.removeprefix(BASE).rstrip("/"))
        for route in _api_routes()
        for method in route.methods
    }
    assert found == set(API)


def test_every_api_view_declares_a_verb_for_each_method_it_answers() -> None:
    for route in _api_routes():
        view = _class_of(route.view)
        answered = {m for m in ("get", "post", "put", "patch", "delete") if hasattr(view, m)}
        assert answered == set(view.verbs), route.path
        for method, verb in view.verbs.items():
            row = API[method.upper(), route.path.removeprefix(BASE).rstrip("/")]
            assert row.verb == verb, route.path


def test_every_page_has_a_row_and_is_guarded_as_it_says() -> None:
    found = {
        route.path.rstrip("/"): getattr(route.view, "verb", None)
        for route in routes()
        if not route.path.startswith(BASE)
    }
    assert set(found) == set(PAGES)
    assert {path for path, verb in found.items() if verb is None} == {
        path for path, verb in PAGES.items() if " " in verb or verb == OPEN or "'" in verb
    }
    for path, verb in found.items():
        assert verb in (None, PAGES[path]), path


def test_every_api_path_answers_with_and_without_the_slash() -> None:
    paths = {route.path for route in _api_routes()}
    assert {path.rstrip("/") for path in paths} == {p for p in paths if not p.endswith("/")}
    assert all(f"{path}/" in paths for path in paths if not path.endswith("/"))


GUARDED = [(method, route, row) for (method, route), row in API.items() if row.verb != OPEN]
OF_THINGS = [entry for entry in GUARDED if entry[2].of]
# Each test below asks every route in one world: refusals and dry runs leave it as it was.


def test_nobody_gets_in_without_a_key_or_a_session(mine: Things) -> None:
    nobody = Caller("nobody", _client(), "", frozenset())
    for method, route, row in GUARDED:
        answer = nobody.call(method, _path(route, mine.ids.get(row.of)), row)
        assert answer.status_code == 401, (method, route)
        assert answer["WWW-Authenticate"] == "Bearer"


def test_each_caller_may_what_their_verbs_say_and_nothing_else(
    mine: Things, callers: list[Caller]
) -> None:
    before = lines_written(mine.tenant)
    for method, route, row in GUARDED:
        path = _path(route, mine.ids.get(row.of))
        for caller in callers:
            dry = "dry_run=true" if method in WRITES else ""
            answer = caller.call(method, path, row, query=dry)
            asked = (method, route, caller.name, answer.content.decode())
            if row.verb in caller.verbs:
                assert answer.status_code == 200, asked
                # every write takes dry_run: the same answer shape, and it says so
                assert (answer.json().get("dry_run") is True) == (method in WRITES), asked
            else:
                code = "missing_scope" if caller.token else "forbidden"
                assert (answer.status_code, answer.json()["code"]) == (403, code), asked
    # neither a dry run nor a refusal has any effect
    assert lines_written(mine.tenant) == before


def test_a_foreign_thing_is_answered_like_one_that_never_was(
    mine: Things, theirs: Things, callers: list[Caller]
) -> None:
    before = lines_written(theirs.tenant)
    every_verb = frozenset[str]().union(*SCOPE_VERBS.values())
    everything = Caller("everything", _client(), key_of(mine.tenant), every_verb)
    for turn, (method, route, row) in enumerate(OF_THINGS):
        for caller in _one_of_each_kind([everything, *callers], row.verb, turn):
            foreign = caller.call(method, _path(route, theirs[row.of]), row)
            unknown = caller.call(method, _path(route, UNKNOWN), row)
            asked = (method, route, caller.name)
            assert (foreign.status_code, unknown.status_code) == (404, 404), asked
            # byte for byte, but for the path that was asked and the request's own id
            assert _same_of(foreign) == _same_of(unknown), asked
            assert {*foreign.headers} == {*unknown.headers}, asked
    assert lines_written(theirs.tenant) == before


def _one_of_each_kind(callers: list[Caller], verb: str, turn: int) -> list[Caller]:
    """A key and a person who may, a key and a person who may not: the next of each kind at every turn."""
    kinds: dict[tuple[bool, bool], list[Caller]] = {}
    for caller in callers:
        kinds.setdefault((bool(caller.token), verb in caller.verbs), []).append(caller)
    return [alike[turn % len(alike)] for alike in kinds.values()]


def test_the_thing_is_looked_up_before_the_body_is_judged(mine: Things, theirs: Things) -> None:
    api = Api(key_of(mine.tenant))
    for method, route, row in OF_THINGS:
        path = f"/{BASE}{_path(route, theirs[row.of])}"
        answer = api.call(method, f"{path}?nonsense=1", {"nonsense": 1})
        assert answer.status_code == 404, (method, route)


def test_no_list_and_no_page_holds_a_word_of_another_tenant(mine: Things, theirs: Things) -> None:
    api = Api(key_of(mine.tenant))
    for method, route, row in GUARDED:
        if method == "GET":
            answer = api.get(f"/{BASE}{_path(route, mine.ids.get(row.of))}")
            assert answer.status_code == 200, route
            assert CANARY not in answer.content.decode(), route
            assert str(theirs.tenant.pk) not in answer.content.decode(), route


def test_a_tenant_named_in_the_query_must_be_the_callers(mine: Things, theirs: Things) -> None:
    api = Api(key_of(mine.tenant))
    for method, route, row in GUARDED:
        path = f"/{BASE}{_path(route, mine.ids.get(row.of))}"
        answer = api.call(method, f"{path}?tenant_id={theirs.tenant.pk}", row.body)
        asked = (method, route)
        assert (answer.status_code, answer.json()["code"]) == (403, "tenant_mismatch"), asked


def test_a_session_needs_its_csrf_token_to_write(acme: Tenant, mine: Things) -> None:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(MembershipFactory(tenant=acme, role=Role.OPERATOR).user)
    path = f"/{BASE}incidents/{mine['incident']}/acknowledge"
    assert client.post(path).status_code == 403
    # reading needs none
    assert client.get(f"/{BASE}incidents").status_code == 200


def test_what_a_person_writes_with_the_token_is_read(acme: Tenant, mine: Things) -> None:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(MembershipFactory(tenant=acme, role=Role.OPERATOR).user)
    client.get("/incidents/")
    path = f"/{BASE}incidents/{mine['incident']}/comment"
    with_token: dict[str, Any] = {"headers": {"X-CSRFToken": client.cookies["csrftoken"].value}}
    said = {"note": "Their bank is down."}
    answer = client.post(path, said, content_type="application/json", **with_token)
    assert answer.status_code == 200, answer.content
    # a form is no way to send it, neither the content nor the token
    assert client.post(path, said, **with_token).status_code == 415
    in_a_form = said | {"csrfmiddlewaretoken": client.cookies["csrftoken"].value}
    assert client.post(path, in_a_form).status_code == 403


def _same_of(answer: Any) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    return {key: body[key] for key in body if key not in ("instance", "correlation_id")}
