"""The product behind PgBouncer in transaction mode: all share one connection, and no tenant stays on it."""

from collections.abc import Iterator

import pytest
from django.db import OperationalError, ProgrammingError, connection, transaction

from tenants.models import Tenant
from tenants.scoping import bound
from tests.api.world import one_of_everything
from tests.architecture.test_walls_in_use import seen, whoami
from tests.cast import Api, key_of
from tests.faults.sizes import sized
from tests.support import pgbouncer
from tests.threads import at_once

REQUESTS = sized(small=60, full=500)
CLIENTS = 4
pytestmark = [
    pytest.mark.faults,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        pgbouncer.PROGRAM is None,
        reason="there is no pgbouncer (Debian: apt-get install pgbouncer)",
    ),
]


@pytest.fixture
def one_connection(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The application's login goes through PgBouncer, which has one connection for all, until the test is over."""
    settled = connection.settings_dict
    with pgbouncer.before(
        port=int(settled["PORT"]), user=settled["USER"], password=settled["PASSWORD"], size=1
    ) as port:
        monkeypatch.setitem(settled, "PORT", port)
        _forget()
        yield
        monkeypatch.undo()
        _forget()


def _forget() -> None:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]


def test_requests_of_two_tenants_over_one_connection_leave_no_tenant_behind(
    acme: Tenant, globex: Tenant, one_connection: None
) -> None:
    worlds = [one_of_everything(tenant, f"{tenant.slug}-word") for tenant in (acme, globex)]
    keys = [key_of(tenant) for tenant in (acme, globex)]

    def ask(client: int) -> set[tuple[str, str, int]]:
        """As one of several, of either tenant by turns: their transactions come in any order."""
        left: set[tuple[str, str, int]] = set()
        apis = [Api(key) for key in keys]
        for turn in range(client, REQUESTS, CLIENTS):
            mine = (turn // CLIENTS + client) % 2
            own, other = worlds[mine], worlds[1 - mine]
            foreign = turn % 5 == 4
            path = f"runs/{other['run']}" if foreign else "workflows"
            answer = apis[mine].get(f"/api/v1/{path}")
            assert answer.status_code == (404 if foreign else 200)
            assert other.tenant.slug not in answer.content.decode()
            assert foreign or own.tenant.slug in answer.content.decode()
            left.add(whoami())
            connection.close()  # back into the pool, as after a request
        return left

    left = set().union(*at_once(CLIENTS, ask))
    assert {(who, tenant) for who, tenant, _ in left} == {("awf_login", "")}
    # the control: everybody was on the same connection
    assert len({pid for *_, pid in left}) == 1


def test_the_walls_and_the_deadlines_hold_there_too(
    acme: Tenant, globex: Tenant, one_connection: None
) -> None:
    for tenant in (acme, globex):
        one_of_everything(tenant, f"{tenant.slug}-word")
    for tenant in (acme, globex):
        with bound(tenant.pk):
            assert seen("incidents_incident").keys() == {tenant.pk}
        with pytest.raises(ProgrammingError, match="permission denied"):
            seen("incidents_incident")
    with pytest.raises(OperationalError, match="statement timeout"):
        _waits_too_long()
    assert _asked("show statement_timeout") == "15s"
    assert _asked("show idle_in_transaction_session_timeout") == "15s"
    assert _asked("show lock_timeout") == "5s"


def _waits_too_long() -> None:
    with transaction.atomic():
        _asked("set local statement_timeout = 50")
        _asked("select pg_sleep(20)")


def _asked(statement: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return str(cursor.fetchone()[0]) if cursor.description else ""
