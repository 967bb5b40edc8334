"""The live feed: facts of one's own tenant, to whoever may still listen, and nothing else."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth.models import User

from awfdrs_site import consumers
from awfdrs_site.asgi import application
from awfdrs_site.lib import live
from incidents import lifecycle
from incidents.models import Incident
from tenants import journal, scoping, sessions
from tenants.models import Membership, Tenant
from tests.cast import acting, signed_in
from tests.factories import IncidentFactory

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
    fact: dict[str, Any] = await socket.receive_json_from()
    return fact


async def opened(user: User) -> WebsocketCommunicator:
    socket = await sync_to_async(socket_of)(user)
    is_open, _ = await socket.connect()
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
