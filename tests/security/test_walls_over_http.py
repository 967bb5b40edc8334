"""The walls as whoever calls meets them: every role on every route, and requests that share one connection."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import get_resolver

from awfdrs_site.routing import websocket_urlpatterns
from tenants.access import ROLE_VERBS
from tenants.models import Tenant
from tenants.states import Role
from tests.admin.pages import pages as admin_pages
from tests.api.access_table import API, OPEN, PAGES
from tests.api.world import Things, lines_written, one_of_everything
from tests.cast import Api, key_of
from tests.factories import MembershipFactory
from tests.faults.sizes import sized

UNKNOWN = "deadbeef-0000-4000-8000-000000000003"
# Whose thing the path names, by how the path begins: the first that fits.
OF = (
    ("incidents/evidence/", "evidence"),
    ("incidents/bulk/", "bulk_job"),
    ("incidents/", "incident"),
    ("runs/", "run"),
    ("events/", "event"),
    ("quarantine/", "quarantined"),
    ("actions/", "pending_action"),
    ("approvals/", "approval"),
    ("campaigns/", "planned_campaign"),
    ("deliveries/", "failed_delivery"),
    ("vendors/", "vendor"),
    ("workflows/", "workflow"),
    ("kill-switches/", "kill_switch"),
)
GUARDED = {path: verb for path, verb in PAGES.items() if verb in ROLE_VERBS[Role.ADMIN]}
OTHER = {"slug": "tenant", "str": "word", "path": "word", "int": "1"}
CHANGES_ANYWAY = re.compile('[0-9a-f]{8}-[0-9a-f-]{27}|[A-Za-z0-9]{64}|nonce-[^\']+|nonce="[^"]+"')


def thing_of(path: str) -> str:
    return next((thing for start, thing in OF if path.startswith(start)), "")


def filled(path: str, pk: Any = UNKNOWN) -> str:
    """The page's address with this id in it."""
    whole = re.sub(r"<uuid:\w+>", str(pk), path)
    whole = re.sub(r"<(\w+):\w+>", lambda found: OTHER.get(found[1], "word"), whole)
    return f"/{whole}" if "." in whole.rsplit("/", 1)[-1] else _slashed(path, whole)


def _slashed(path: str, whole: str) -> str:
    known = {str(pattern.pattern) for pattern in get_resolver().url_patterns}
    return f"/{whole}" if path in known else f"/{whole}/"


def client_of(tenant: Tenant, role: str) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(MembershipFactory(tenant=tenant, role=role).user)
    return client


def asked(client: Client, path: str) -> Iterator[tuple[str, Any]]:
    for method in ("get", "post"):
        yield method, getattr(client, method)(path)


def test_a_viewer_changes_nothing_by_any_route(acme: Tenant) -> None:
    client, mine = client_of(acme, Role.VIEWER), one_of_everything(acme, "acme-word")
    before, n_refused = lines_written(acme), 0
    for path, verb in GUARDED.items():
        if verb != "view":
            for method, answer in asked(
                client, filled(path, mine.ids.get(thing_of(path), UNKNOWN))
            ):
                # what takes the other method only says so to everybody
                assert answer.status_code in (403, 405), (method, path)
                n_refused += answer.status_code == 403
    for (method, route), row in API.items():
        if row.verb not in (OPEN, "view"):
            path = f"/api/v1/{route.replace('<id:pk>', str(mine.ids.get(row.of)))}"
            answer = client.generic(method, path, content_type="application/json")
            assert answer.status_code == 403, (method, path)
            n_refused += 1
    assert n_refused > 90
    assert lines_written(acme) == before


def test_every_role_opens_the_pages_it_may_and_no_other(acme: Tenant) -> None:
    n_asked = 0
    for role in Role:
        client = client_of(acme, role)
        for path, verb in GUARDED.items():
            may = verb in ROLE_VERBS[role]
            answer = client.get(filled(path))
            n_asked += 1
            # what they may is shown or not there; what takes only POSTs says so to everybody
            allowed = {200, 302, 400, 404, 405, 422} if may else {403, 405}
            assert answer.status_code in allowed, (role, path, answer.status_code)
    assert n_asked == len(Role) * len(GUARDED)


def test_a_foreign_page_is_answered_like_one_that_never_was(acme: Tenant, globex: Tenant) -> None:
    mine = one_of_everything(acme, "acme-word")
    theirs = one_of_everything(globex, "globex-canary")
    client, before, n_own = client_of(acme, Role.ADMIN), lines_written(globex), 0
    for path in GUARDED:
        if "<uuid:" not in path or not thing_of(path):
            continue
        call = client.get if GUARDED[path] == "view" else client.post
        foreign, unknown = (
            _shape(call(filled(path, pk))) for pk in (theirs[thing_of(path)], UNKNOWN)
        )
        assert foreign == unknown, path
        assert foreign[0] in (404, 405), path
        # the control: with an id of their own something is there
        if n_own < 8 and call == client.get:
            n_own += client.get(filled(path, mine[thing_of(path)])).status_code == 200
    assert n_own == 8
    assert lines_written(globex) == before


def _shape(answer: Any) -> tuple[int, str]:
    return answer.status_code, CHANGES_ANYWAY.sub("…", answer.content.decode())


def test_the_matrix_counts_its_cells(capsys: pytest.CaptureFixture[str]) -> None:
    """Every route has a row (tests/api, tests/admin walk them); here is how many cells that makes."""
    n_callers, n_owners = len(Role) + 2, 3  # every role, nobody, an outsider; own, foreign, unknown
    n_api = len(API) * n_callers * n_owners
    n_console = sum(2 * n_callers * (n_owners if "<" in path else 1) for path in PAGES)
    n_admin = sum(2 * n_callers * (n_owners if page.of_object else 1) for page in admin_pages())
    with capsys.disabled():
        print(
            f"\n{len(API)} API methods, {len(PAGES)} pages, {len(admin_pages())} pages of the administration,"
            f" {len(websocket_urlpatterns)} feed: {n_api + n_console + n_admin} cells"
        )
    # a second socket needs tests of its own beside tests/site/test_feed.py
    assert [str(route.pattern) for route in websocket_urlpatterns] == ["ws/feed"]


@pytest.fixture
def pool_of_one() -> Iterator[None]:
    """A fresh pool, which has one connection while one thread asks."""
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    yield
    connection.close()


@pytest.mark.django_db(transaction=True)
def test_alternating_requests_over_one_connection_leave_no_tenant_behind(
    acme: Tenant, globex: Tenant, pool_of_one: None
) -> None:
    worlds = [one_of_everything(acme, "acme-word"), one_of_everything(globex, "globex-word")]
    keys = [Api(key_of(world.tenant)) for world in worlds]
    pids = set()
    for turn in range(sized(small=100, full=500)):
        own, other = worlds[turn % 2], worlds[1 - turn % 2]
        answer = keys[turn % 2].get(_path(turn, own, other))
        assert answer.status_code == (404 if turn % 5 == 4 else 200)
        assert other.tenant.slug not in answer.content.decode()
        with connection.cursor() as cursor:
            cursor.execute(
                "select current_user::text, coalesce(current_setting('awf.tenant', true), ''), pg_backend_pid()"
            )
            who, tenant, pid = cursor.fetchone()
        assert (who, tenant) == ("awf_login", ""), f"after request {turn}"
        pids.add(pid)
        connection.close()  # back into the pool, as after a request
    assert len(pids) == 1


def _path(turn: int, own: Things, other: Things) -> str:
    if turn % 5 == 4:
        return f"/api/v1/runs/{other['run']}"
    return ("/api/v1/workflows", f"/api/v1/runs/{own['run']}")[turn % 3 == 0]
