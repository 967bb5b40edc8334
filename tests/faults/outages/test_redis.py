"""Redis refused, hung and flushed: nothing is lost, people see it, and nothing waits."""

import signal
import time
from collections.abc import Callable

import pytest
from websockets import ConnectionClosed

from tests.faults.outages.stack import Stack, until
from tests.faults.table import Row

pytestmark = pytest.mark.faults


def refused(product: Stack) -> None:
    product.redis.refuse()


def hung(product: Stack) -> None:
    product.redis.signal(signal.SIGSTOP)


def goes_on_without_redis(product: Stack, breaks: Callable[[Stack], None], row: Row) -> None:
    # the positive control: while it is whole nothing says the opposite
    assert product.health("/ready").json()["redis"] == "ok"
    until(lambda: 'data-outage="redis"' not in product.page().text, seconds=10)
    breaks(product)
    answer = product.send(within=2.0)
    assert answer.status_code == 201
    sent = answer.json()["event_id"]
    until(lambda: 'data-outage="redis"' in product.page(within=2.0).text, seconds=10)
    answer = product.health("/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert product.metric("redis_up") == 0
    kept = product.postgres.ask(f"select count(*) from events_event where id = '{sent}'")
    assert kept == 1
    row.tell(
        f"Redis {breaks.__name__}",
        load="1 event, pages and health asked meanwhile",
        losses=1 - kept,
        recovery_seconds=product.repair(),
        control="no banner before",
    )


@pytest.mark.cell(
    "Redis refused",
    "ingest, console, what people see",
    "201; pages work; banner and `redis_up` 0 within 10 s",
)
def test_refused_redis_costs_no_event_and_is_seen(product: Stack, row: Row) -> None:
    goes_on_without_redis(product, refused, row)


@pytest.mark.cell(
    "Redis hung", "ingest, console, what people see", "the same: no call waits for it"
)
def test_hung_redis_costs_no_event_and_is_seen(product: Stack, row: Row) -> None:
    goes_on_without_redis(product, hung, row)


@pytest.mark.cell("Redis refused", "kill switch", "activates and lifts: its rows are in Postgres")
def test_a_kill_switch_needs_no_redis(product: Stack, row: Row) -> None:
    product.redis.refuse()
    body = {"scope": "tenant", "reason": "Redis is away"}
    answer = product.call("POST", "/api/v1/kill-switches", json=body)
    assert answer.status_code == 201, answer.text
    switch = answer.json()["id"]
    lift = {"reason": "shown"}
    answer = product.call("POST", f"/api/v1/kill-switches/{switch}/lift", json=lift)
    assert answer.status_code == 200, answer.text
    row.tell(
        "Redis refused",
        load="1 kill switch activated and lifted",
        recovery_seconds=product.repair(),
    )


@pytest.mark.cell(
    "Redis refused", "live updates", 'refused with 1013 "try again later"; pages poll'
)
def test_without_redis_a_page_is_told_to_try_later(product: Stack, row: Row) -> None:
    product.hears().close()
    product.redis.refuse()
    with product.listen() as told, pytest.raises(ConnectionClosed, match="1013"):
        told.recv(timeout=15)
    row.tell(
        "Redis refused",
        load="1 page that would listen is told to try later",
        recovery_seconds=product.repair(),
        control="before, its line stays open",
    )


@pytest.mark.cell(
    "Redis flushed",
    "all of it",
    "nothing lost, nobody signed out; counted in `redis_epoch_changes_total`",
)
def test_a_flushed_redis_loses_nothing_and_is_counted(product: Stack, row: Row) -> None:
    assert product.health("/ready").json()["status"] == "ready"
    before = product.metric("redis_epoch_changes_total")
    product.redis.flush()
    flushed_at = time.monotonic()
    assert product.page().status_code == 200
    assert product.send().status_code == 201
    assert product.health("/ready").json()["status"] == "ready"
    assert product.metric("redis_epoch_changes_total") == before + 1
    row.tell(
        "Redis flushed",
        load="1 event and 1 page asked after it",
        recovery_seconds=time.monotonic() - flushed_at,
        control="the flush is counted",
    )


@pytest.mark.cell("Redis hung", "live updates", "the same: refused with 1013; pages poll")
def test_a_hung_redis_leaves_no_page_waiting(product: Stack, row: Row) -> None:
    product.redis.signal(signal.SIGSTOP)
    with product.listen() as told, pytest.raises(ConnectionClosed, match="1013"):
        told.recv(timeout=15)
    row.tell(
        "Redis hung",
        load="1 page that would listen is told to try later",
        recovery_seconds=product.repair(),
    )
