"""The live feed: facts of one's own tenant, to whoever may still listen, and nothing else."""

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth.models import User

from awfdrs_site import consumers, feed
from awfdrs_site.asgi import application
from awfdrs_site.lib import live
from incidents import lifecycle
from incidents.models import Incident
from tenants import auth, journal, scoping, sessions
from tenants.models import Membership, Tenant
from tests.cast import acting, signed_in
from tests.factories import IncidentFactory
from tests.threads import PATIENCE_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)

HOST = ("host", "localhost")


def socket_of(user: User | None, *, origin: str = "http://localhost") -> WebsocketCommunicator:
    headers = [HOST, ("origin", origin)]
    if user is not None:
        cookie = signed_in(user).cookies[settings.SESSION_COOKIE_NAME].value
        headers.append(("cookie", f"{settings.SESSION_COOKIE_NAME}={cookie}"))
    encoded = [(name.encode(), value.encode()) for name, value in headers]
    return WebsocketCommunicator(application, "/ws/feed", headers=encoded)


def acknowledge(incident: Incident, user: User) -> None:
    with scoping.bound(incident.tenant_id) as now:
        lifecycle.acknowledge(incident, by=acting(user), now=now)
    live.drain()


async def heard(socket: WebsocketCommunicator, incident: Incident) -> dict[str, Any]:
    """The next fact. Facts are at most once, so a busy machine may need to be told again."""

    def tell_again() -> None:
        with scoping.bound(incident.tenant_id):
            journal.announce(incident)
        live.drain()

    for _ in range(10):
        if not await socket.receive_nothing(timeout=1, interval=0.05):
            break
        await sync_to_async(tell_again)()
    message = await socket.receive_json_from()
    fact: dict[str, Any] = message["facts"][-1]
    return fact | {"rev": message["rev"]}


async def opened(user: User) -> WebsocketCommunicator:
    socket = await sync_to_async(socket_of)(user)
    is_open, _ = await socket.connect(timeout=PATIENCE_SECONDS)
    assert is_open
    return socket


async def test_a_change_reaches_the_tenants_own_consoles_and_no_others(
    alice: User, mallory: User, acme: Tenant
) -> None:
    incident = await sync_to_async(IncidentFactory)(tenant=acme)
    own, foreign = await opened(alice), await opened(mallory)
    await sync_to_async(acknowledge)(incident, alice)

    fact = await heard(own, incident)
    assert fact.items() >= {"topic": "incident", "id": str(incident.pk), "ev": "changed"}.items()
    assert await foreign.receive_nothing(timeout=0.5)
    await own.disconnect()
    await foreign.disconnect()


async def test_a_message_cannot_join_another_tenants_feed(
    alice: User, mallory: User, acme: Tenant
) -> None:
    incident = await sync_to_async(IncidentFactory)(tenant=acme)
    foreign = await opened(mallory)
    await foreign.send_json_to({"join": live.group_of(acme.pk), "tenant": str(acme.pk)})
    await sync_to_async(acknowledge)(incident, alice)
    assert await foreign.receive_nothing(timeout=0.5)
    await foreign.disconnect()


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
async def test_another_sites_page_may_not_listen(alice: User, origin: str) -> None:
    socket = await sync_to_async(socket_of)(alice, origin=origin)
    is_open, _ = await socket.connect()
    assert not is_open


async def test_nobody_listens_without_a_session(db: None) -> None:
    socket = socket_of(None)
    await socket.connect()
    # let in to be told why, and out again
    message = await socket.receive_output(timeout=5)
    assert (message["type"], message["code"]) == ("websocket.close", 4401)


async def test_a_lost_membership_closes_the_socket(
    alice: User, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.1)
    socket = await opened(alice)

    def leave() -> None:
        with scoping.platform():
            Membership.objects.for_tenant(acme).filter(user=alice).delete()

    await sync_to_async(leave)()
    message = await socket.receive_output(timeout=5)
    assert (message["type"], message["code"]) == ("websocket.close", consumers.CLOSE_FORBIDDEN)


async def test_an_ended_session_closes_its_socket(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    # M51: revoked within 5 s, the time of a recheck and its answer
    assert consumers.RECHECK_SECONDS + 1 <= 5
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.1)
    socket = await opened(alice)
    await sync_to_async(sessions.end_others)(alice.pk, but=None, by=journal.SYSTEM)
    message = await socket.receive_output(timeout=5)
    assert (message["type"], message["code"]) == ("websocket.close", consumers.CLOSE_FORBIDDEN)


async def said(socket: WebsocketCommunicator, asked: dict[str, Any]) -> dict[str, Any]:
    await socket.send_json_to(asked)
    answer: dict[str, Any] = await socket.receive_json_from(timeout=5)
    return answer


async def test_who_comes_back_hears_exactly_what_was_missed(alice: User, acme: Tenant) -> None:
    one, other = [await sync_to_async(IncidentFactory)(tenant=acme) for _ in range(2)]
    first, stays = await opened(alice), await opened(alice)
    await sync_to_async(acknowledge)(one, alice)
    revision = (await heard(first, one))["rev"]
    await first.disconnect()
    await sync_to_async(acknowledge)(other, alice)
    while (await heard(stays, other))["id"] != str(other.pk):
        pass
    again = await opened(alice)
    answer = await said(again, {"since": revision})
    assert {fact["id"] for fact in answer["facts"]} == {str(other.pk)}
    assert answer["rev"] != revision
    await again.disconnect()
    await stays.disconnect()


@pytest.mark.parametrize("asked", [{"since": "other.3"}, {"since": 7}, {"age": 20}, {"age": "x"}])
async def test_who_missed_what_nobody_knows_re_reads_everything(
    alice: User, asked: dict[str, Any]
) -> None:
    socket = await opened(alice)
    assert await said(socket, asked) == {"reset": True}
    assert (await socket.receive_json_from())["facts"] == []  # and what to say next time
    await socket.disconnect()


async def test_all_consoles_of_a_process_share_one_subscription(
    alice: User, mallory: User, acme: Tenant
) -> None:
    sockets = [await opened(person) for person in (alice, alice, mallory)]
    layer = get_channel_layer()
    assert layer is not None
    assert len(layer.channels) == 1
    assert {len(members) for members in layer.groups.values()} == {1}
    for socket in sockets:
        await socket.disconnect()


async def test_facts_that_redis_may_have_lost_reset_every_console(alice: User) -> None:
    socket = await opened(alice)
    feed.of_this_process()._hear_pulse(feed.of_this_process().heard + 2)
    assert await socket.receive_json_from(timeout=5) == {"reset": True}
    await socket.disconnect()


async def test_a_redis_that_says_nothing_sends_the_consoles_away_to_poll(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PULSE_SECONDS", 0.05)
    monkeypatch.setattr(feed.Feed, "_hear_pulse", lambda *_: None)
    socket = await opened(alice)
    message = await socket.receive_output(timeout=5)
    assert (message["type"], message["code"]) == ("websocket.close", consumers.CLOSE_TRY_LATER)


def test_a_room_forgets_the_oldest_and_knows_that_it_did() -> None:
    room = feed.Room()
    room.begin()
    before = room.revision
    room.remember([{"topic": "incident", "id": str(n)} for n in range(feed.KEPT_FACTS)])
    assert len(room.after(before) or ()) == feed.KEPT_FACTS
    kept = room.revision
    room.remember([{"topic": "incident", "id": "new"}])
    assert room.after(before) is None
    assert room.after(kept) == [{"topic": "incident", "id": "new"}]


async def test_a_line_that_takes_nothing_holds_nobody_up() -> None:
    console = consumers.FeedConsumer()
    console._texts = asyncio.Queue(consumers.TEXTS_AT_ONCE)
    for number in range(consumers.TEXTS_AT_ONCE + 1):
        console.hear(str(number))
    assert console._texts.qsize() == 1
    assert console._texts.get_nowait() == feed.RESET


async def test_what_no_browser_of_ours_says_ends_the_line(alice: User) -> None:
    too_long = '{"since": "' + "9" * consumers.SAID_CHARACTERS + '"}'
    for said in ("[" * 400, '{"age": 1', "[1]", too_long, None):
        socket = await opened(alice)
        await socket.send_to(text_data=said, bytes_data=None if said else b"\x00")
        message = await socket.receive_output(timeout=PATIENCE_SECONDS)
        told = (message["type"], message["code"], said)
        assert told == ("websocket.close", consumers.CLOSE_NOT_OURS, said)


async def test_who_never_stops_asking_is_answered_a_few_times(alice: User) -> None:
    socket = await opened(alice)
    for _ in range(consumers.SAID_MOST + 1):
        await socket.send_json_to({"since": "nobody.0"})
    while (message := await socket.receive_output(timeout=PATIENCE_SECONDS))["type"] == (
        "websocket.send"
    ):
        pass
    assert (message["type"], message["code"]) == ("websocket.close", consumers.CLOSE_NOT_OURS)


async def test_a_recheck_that_breaks_closes_the_socket(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.1)
    socket = await opened(alice)

    def broken(_cookies: list[str]) -> None:
        raise ValueError

    monkeypatch.setattr(auth, "tenants_of_sessions", broken)
    message = await socket.receive_output(timeout=PATIENCE_SECONDS)
    assert (message["type"], message["code"]) == ("websocket.close", consumers.CLOSE_TRY_LATER)
