"""The Python client against the living API: sent at once, kept while it is away, in order, never twice."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from awfdrs_site.client import Away, Client, Denied, Refused, SpoolFull
from awfdrs_site.lib import clock, rfc3339
from tenants.models import Tenant
from tenants.states import Scope
from tests.cast import key_of, stored
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def away(key: str, tmp_path: Path) -> Client:
    """The same spool as `client`, while nobody answers."""
    return Client(NOWHERE, key, workflow="checkout", spool=tmp_path / "spool", background=False)


def refused(client: Client) -> list[dict[str, Any]]:
    return [json.loads(line) for line in client.spool.refused_path.read_text().splitlines()]


def test_an_event_is_stored_at_once_and_what_is_refused_is_raised_and_put_aside(
    client: Client, acme: Tenant
) -> None:
    sent = client.send("payment.failed", {"error_code": "timeout"}, run_id="order-1")
    assert (sent.status, client.spool.is_empty) == ("accepted", True)
    assert [str(event.pk) for event in stored(acme)] == [sent.event_id]
    with pytest.raises(Refused, match="event_type") as refusal:
        client.send("Payment Failed!", {"error_code": "timeout"})
    assert refusal.value.problem["quarantine_id"]
    assert refused(client)[0]["event"]["event_type"] == "Payment Failed!"
    assert refused(client)[0]["problem"]["code"] == "validation_failed"


def test_what_happens_while_it_is_away_arrives_once_in_order_with_the_time_it_happened(
    client: Client, away: Client, acme: Tenant
) -> None:
    kept = [away.send("payment.failed", run_id=f"order-{n}") for n in range(3)]
    assert {sent.status for sent in kept} == {"spooled"}
    # an event that comes when the API is back goes behind those that wait
    assert client.send("payment.completed", run_id="order-0").status == "spooled"
    assert client.drain() == 4
    assert client.spool.is_empty
    events = stored(acme)
    assert [event.run_ref for event in events] == ["order-0", "order-1", "order-2", "order-0"]
    assert events == sorted(events, key=lambda event: event.occurred_at)


def test_an_answer_that_was_lost_makes_no_second_event(
    client: Client, away: Client, acme: Tenant
) -> None:
    for n in range(3):
        away.send("payment.failed", run_id=f"order-{n}")

    def answer_lost(*arguments: Any, **options: Any) -> Any:
        call(*arguments, **options)
        raise Away("reset by peer")

    call, client.http.call = client.http.call, answer_lost  # type: ignore[method-assign]
    with pytest.raises(Away):
        client.drain()
    client.http.call = call  # type: ignore[method-assign]
    assert client.spool.count() == 3
    assert client.drain() == 3
    assert len(stored(acme)) == 3


def test_a_refused_event_among_those_that_waited_is_put_aside_and_the_rest_arrive(
    client: Client, away: Client, acme: Tenant
) -> None:
    away.send("payment.failed", run_id="good-1")
    away.send("Not a type", run_id="bad")
    away.send("payment.failed", {"name": "\ud800"}, run_id="no-text")
    away.send("payment.failed", run_id="good-2")
    assert client.drain() == 4
    assert [event.run_ref for event in stored(acme)] == ["good-1", "good-2"]
    assert [line["event"]["run_id"] for line in refused(client)] == ["bad", "no-text"]


def test_a_key_that_may_not_send_loses_nothing(
    client: Client, away: Client, acme: Tenant, api_origin: str
) -> None:
    away.send("payment.failed")
    reader = Client(
        api_origin, key_of(acme, Scope.READ), spool=client.spool.directory, background=False
    )
    with pytest.raises(Denied):
        reader.drain()
    assert client.drain() == 1


def test_an_event_of_another_tenant_holds_up_what_follows_and_says_why(
    client: Client, away: Client, acme: Tenant
) -> None:
    away.send("payment.failed", run_id="before")
    body = {"workflow": "checkout", "event_type": "payment.failed", "idempotency_key": "theirs"}
    away.deliver({**body, "tenant_id": str(uuid4()), "occurred_at": rfc3339.format(clock.read())})
    away.send("payment.failed", run_id="after")
    with pytest.raises(Denied) as denial:
        client.drain()
    assert denial.value.code == "tenant_mismatch"
    assert client.spool.count() == 2
    assert "before" in {event.run_ref for event in stored(acme)}


def test_what_is_more_than_a_key_may_send_at_once_goes_out_in_parts(
    away: Client, acme: Tenant, api_origin: str
) -> None:
    key = key_of(acme, rate_per_second=0.01, burst=3)
    client = Client(api_origin, key, spool=away.spool.directory, background=False)
    for n in range(8):
        away.send("payment.failed", run_id=f"order-{n}")
    with pytest.raises(Away) as limited:
        client.drain()
    assert limited.value.retry_after
    assert client.spool.count() == 5
    assert [event.run_ref for event in stored(acme)] == ["order-0", "order-1", "order-2"]


def test_where_nothing_can_be_kept_it_sends_all_the_same(
    api_origin: str, key: str, tmp_path: Path, acme: Tenant
) -> None:
    (tmp_path / "file").write_text("")
    client = Client(api_origin, key, workflow="checkout", spool=tmp_path / "file" / "spool")
    assert client.send("payment.failed").status == "accepted"
    with pytest.raises(Refused):
        client.send("No type")
    client.http.url = NOWHERE
    with pytest.raises(OSError, match="file"):
        client.send("payment.failed")


def test_a_forked_process_does_not_wait_for_a_thread_that_it_does_not_have(away: Client) -> None:
    child = Client(NOWHERE, "awf_a_b", workflow="checkout", spool=away.spool.directory)
    with child._starting:  # as the parent's thread may hold it in the moment of the fork
        child._process = 0
        assert child.send("payment.failed").status == "spooled"
    child.close(wait_seconds=30)


def test_an_address_that_is_not_awfdrs_refuses_no_event(
    api_origin: str, key: str, tmp_path: Path
) -> None:
    elsewhere = Client(f"{api_origin}/static", key, workflow="w", spool=tmp_path, background=False)
    with pytest.raises(Denied):
        elsewhere.send("payment.failed")
    assert not elsewhere.spool.refused_path.exists()


def test_without_room_the_caller_is_told(away: Client) -> None:
    away.spool._most_bytes = 10
    with pytest.raises(SpoolFull):
        away.send("payment.failed")


def test_threads_share_a_client_and_each_of_their_events_is_stored_once(
    client: Client, away: Client, acme: Tenant
) -> None:
    def work(thread: int) -> None:
        for n in range(5):
            (away if thread % 2 else client).send("payment.failed", run_id=f"{thread}-{n}")

    at_once(4, work)
    client.drain()
    expected = sorted(f"{thread}-{n}" for thread in range(4) for n in range(5))
    assert sorted(str(event.run_ref) for event in stored(acme)) == expected


def test_in_the_background_what_a_process_left_behind_is_sent_by_the_next(
    away: Client, acme: Tenant, api_origin: str, key: str
) -> None:
    away.send("payment.failed", run_id="order-1")
    with Client(api_origin, key, spool=away.spool.directory) as successor:
        assert successor._drainer is not None
        successor.close(wait_seconds=30)
    assert [event.run_ref for event in stored(acme)] == ["order-1"]


def test_every_payload_must_be_json_that_others_read(client: Client) -> None:
    with pytest.raises(ValueError, match="JSON"):
        client.send("payment.failed", {"amount": float("nan")})
