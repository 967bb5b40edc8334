"""Postgres refused, hung, read-only or full: no 201 for what is not kept, and back by itself."""

import signal
import time
from collections.abc import Callable
from uuid import uuid4

import pytest
from websockets import ConnectionClosed

from tests.faults.outages.stack import Stack, until
from tests.faults.table import Row

pytestmark = pytest.mark.faults


def refused(product: Stack) -> None:
    product.postgres.refuse()


def hung(product: Stack) -> None:
    product.postgres.signal(signal.SIGSTOP)


def says_unavailable(answer: object, **members: str) -> None:
    assert answer.status_code == 503, answer.text  # type: ignore[attr-defined]
    assert "Retry-After" in answer.headers  # type: ignore[attr-defined]
    assert answer.json().items() >= ({"code": "unavailable"} | members).items()  # type: ignore[attr-defined]


def closed_and_back(product: Stack, breaks: Callable[[Stack], None], row: Row) -> None:
    key = str(uuid4())
    # the positive control: the same is taken while Postgres is whole
    assert product.send().status_code == 201
    breaks(product)
    says_unavailable(product.send(idempotency_key=key, run_id=key))
    answer = product.health("/ready")
    assert (answer.status_code, answer.json()["database"]) == (503, "failing")
    assert product.health().status_code == 200
    page = product.page()
    assert (page.status_code, "cannot answer right now" in page.text) == (503, True)
    recovery = product.repair()
    # nobody has to be started again, and what was refused comes once
    until(lambda: product.send(idempotency_key=key, run_id=key).status_code in (200, 201, 422))
    kept = product.postgres.ask(f"select count(*) from events_event where run_ref = '{key}'")
    assert kept == 1
    row.tell(
        f"Postgres {breaks.__name__}",
        load="ingest, console and health asked meanwhile",
        losses=1 - kept,
        recovery_seconds=recovery,
        control="201 before",
    )


@pytest.mark.cell(
    "Postgres refused",
    "ingest, console, health",
    "503 + Retry-After within 5 s, never 201; ready 503 in 2 s, live 200; back by itself",
)
def test_refused_postgres_is_said_and_nothing_is_taken(product: Stack, row: Row) -> None:
    closed_and_back(product, refused, row)


@pytest.mark.cell(
    "Postgres hung",
    "ingest, console, health",
    "503 within 5 s although connections stay open; ready 503 in 2 s, live 200",
)
def test_hung_postgres_is_said_and_nothing_is_taken(product: Stack, row: Row) -> None:
    closed_and_back(product, hung, row)


@pytest.mark.cell("Postgres refused", "kill switch", "cannot be activated, and says so")
def test_without_postgres_no_kill_switch_is_said_to_be_on(product: Stack, row: Row) -> None:
    product.postgres.refuse()
    body = {"scope": "tenant", "reason": "Postgres is away"}
    says_unavailable(product.call("POST", "/api/v1/kill-switches", json=body))
    recovery = product.repair()
    kept = "select count(*) from safety_killswitch where reason = 'Postgres is away'"
    n_kept = product.postgres.ask(kept)
    assert n_kept == 0
    row.tell(
        "Postgres refused",
        load="1 kill switch asked for",
        losses=n_kept,
        recovery_seconds=recovery,
        control="503, and it says so",
    )


@pytest.mark.cell(
    "Postgres refused", "live updates", "open sockets stay; new ones are refused with 1013"
)
def test_without_postgres_open_sockets_stay(product: Stack, row: Row) -> None:
    with product.hears() as before:
        product.postgres.refuse()
        with product.listen() as after, pytest.raises(ConnectionClosed, match="1013"):
            after.recv(timeout=15)
        # longer than the recheck of who may listen takes
        assert before.ping().wait(5)
        assert before.close_code is None
        recovery = product.repair()
    row.tell(
        "Postgres refused",
        load="1 open socket, which stays",
        recovery_seconds=recovery,
        control="a new one is refused with 1013",
    )


@pytest.mark.cell(
    "Postgres read-only", "ingest, console", "503 `unavailable` with `reason: storage`; pages work"
)
def test_a_read_only_postgres_takes_nothing_and_shows_everything(product: Stack, row: Row) -> None:
    product.postgres.execute("alter system set default_transaction_read_only = on")
    product.postgres.execute("select pg_reload_conf()")
    try:
        until(lambda: product.send().status_code != 201)
        says_unavailable(product.send(), reason="storage")
        assert product.page().status_code == 200
    finally:
        product.postgres.execute("alter system reset default_transaction_read_only")
        product.postgres.execute("select pg_reload_conf()")
    began = time.monotonic()
    until(lambda: product.send().status_code == 201)
    row.tell(
        "Postgres read-only",
        load="ingest refused, pages shown",
        recovery_seconds=time.monotonic() - began,
        control="503 `storage` meanwhile",
    )
