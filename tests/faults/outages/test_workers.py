"""Workers dead, beat dead or doubled, clocks that are wrong: the queue grows, nothing is lost, and it is said."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from awfdrs_site.lib import rfc3339
from tests.faults.outages.stack import Stack, end, until
from tests.faults.table import Row

pytestmark = pytest.mark.faults

_WAITING = "select count(*) from events_pendingevent"
_COUNTED = "select coalesce(sum(event_count), 0) from incidents_incident where not is_storm"
_OPENED_OFF = """
select coalesce(max(abs(extract(epoch from clock_timestamp() - opened_at))), 0)::float8
from incidents_incident where opened_at is not null
"""
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
BEAT = ("-m", "celery", "-A", "awfdrs_site.celery", "beat", "--pidfile=")


def digested(product: Stack) -> bool:
    return bool(product.postgres.ask(_WAITING) == 0)


def until_digested(product: Stack) -> float:
    """The seconds until nothing waits."""
    began = time.monotonic()
    until(lambda: digested(product))
    return time.monotonic() - began


@pytest.mark.cell(
    "all workers dead",
    "ingest, what people see",
    "201, the queue grows; `/health/pipeline` 503 and a banner after 60 s",
)
def test_nobody_digests_and_it_is_said(product: Stack, row: Row) -> None:
    assert product.send().status_code == 201
    # the positive control: a short wait is none
    assert product.health("/pipeline").status_code == 200
    product.postgres.execute("update travel.clock set ahead = '61 seconds'")
    answer = product.health("/pipeline")
    assert (answer.status_code, answer.json()["late"]) == (503, ["oldest_undigested_seconds"])
    until(lambda: 'data-outage="pipeline"' in product.page().text, seconds=15)
    assert product.send().status_code == 201
    began = time.monotonic()
    with product.worker():
        until(lambda: digested(product))
    row.tell(
        "all workers dead",
        load="2 events waiting, and a banner that says so",
        losses=product.postgres.ask(_WAITING),
        recovery_seconds=time.monotonic() - began,
        control="well before a minute is over",
    )


@pytest.mark.cell("one worker dead", "grouping", "the others go on")
def test_the_others_go_on(product: Stack, row: Row) -> None:
    with product.worker() as one, product.worker():
        until(lambda: digested(product))
        end(one)
        assert product.send().status_code == 201
        row.tell("one worker of two dead", load="1 event", recovery_seconds=until_digested(product))


@pytest.mark.cell("Redis refused", "grouping", "workers poll Postgres")
def test_workers_digest_without_redis(product: Stack, row: Row) -> None:
    product.redis.refuse()
    with product.worker():
        assert product.send().status_code == 201
        row.tell(
            "Redis refused", load="1 event, 1 worker", recovery_seconds=until_digested(product)
        )


@pytest.mark.cell("beat dead", "grouping", "no effect: workers poll")
def test_a_worker_needs_no_beat(product: Stack, row: Row) -> None:
    with product.worker():
        assert product.send().status_code == 201
        row.tell("no beat", load="1 event, 1 worker", recovery_seconds=until_digested(product))


@pytest.mark.cell("two beats", "grouping", "no effect: each event counts once")
def test_two_beats_double_nothing(product: Stack, row: Row) -> None:
    with product.worker(), product.program(*BEAT), product.program(*BEAT):
        until(lambda: digested(product))
        before = product.postgres.ask(_COUNTED)
        for _ in range(20):
            assert product.send().status_code == 201
        recovery = until_digested(product)
        counted = int(product.postgres.ask(_COUNTED) - before)
        assert counted == 20
    row.tell(
        "two beats", load="20 events, 1 worker", losses=20 - counted, recovery_seconds=recovery
    )


@pytest.mark.cell("worker clock ±1 h", "grouping", "times are the database's")
@pytest.mark.skipif(FAKETIME is None, reason="faketime is not installed")
@pytest.mark.parametrize("off", ["+1h", "-1h"])
def test_a_worker_with_a_wrong_clock_writes_the_databases_time(
    product: Stack, off: str, row: Row
) -> None:
    with product.worker(LD_PRELOAD=str(FAKETIME), FAKETIME=off):
        assert product.send().status_code == 201
        recovery = until_digested(product)
    row.tell(f"a worker's clock {off}", load="1 event, 1 worker", recovery_seconds=recovery)
    assert product.postgres.ask(_OPENED_OFF) < timedelta(minutes=30).total_seconds()


@pytest.mark.cell(
    "client clock wrong", "ingest", "more than 24 h ahead: 422; a little: taken with a warning"
)
def test_a_client_whose_clock_is_wrong_is_told(product: Stack, row: Row) -> None:
    def sent_at(**off: float) -> str:
        return rfc3339.format(datetime.now(UTC) + timedelta(**off))

    assert product.send(occurred_at=sent_at(hours=25)).status_code == 422
    answer = product.send(occurred_at=sent_at(minutes=10))
    assert (answer.status_code, answer.json()["warnings"]) == (
        201,
        ["occurred_at is in the future"],
    )
    row.tell("a client's clock", load="1 event a little ahead", control="a day ahead: 422")
