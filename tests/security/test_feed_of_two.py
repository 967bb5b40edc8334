"""Two tenants, many open consoles, many changes: no console hears of anything that is not its tenant's."""

import asyncio
import json
import re
from collections.abc import Iterable

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User

from awfdrs_site.lib import live
from incidents.models import Incident
from tenants import journal, scoping
from tenants.models import Tenant
from tests.factories import IncidentFactory
from tests.faults.sizes import sized
from tests.site.test_feed import opened

N_SOCKETS = sized(small=4, full=50)
N_CHANGES = sized(small=60, full=10_000)
N_ROWS = 20
UUIDS = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
WORDS = re.compile(r"(\w+)-word")  # whose, in what people read of a row


def change(incidents: Iterable[Incident]) -> None:
    for incident in incidents:
        with scoping.bound(incident.tenant_id):
            journal.announce(incident)
    live.drain()


async def heard_by(socket: WebsocketCommunicator) -> tuple[set[str], set[str]]:
    """The ids and the words in everything that came until the line was quiet."""
    ids: set[str] = set()
    words: set[str] = set()
    while not await socket.receive_nothing(timeout=0.6, interval=0.05):
        came = json.dumps(await socket.receive_json_from())
        ids |= set(UUIDS.findall(came))
        words |= set(WORDS.findall(came))
    return ids, words


@pytest.mark.smoke
@pytest.mark.faults
@pytest.mark.django_db(transaction=True)
async def test_no_console_hears_of_another_tenants_rows(
    alice: User, mallory: User, acme: Tenant, globex: Tenant
) -> None:
    make = sync_to_async(IncidentFactory)
    rows = {
        tenant: [await make(tenant=tenant, title=f"{tenant.slug}-word") for _ in range(N_ROWS)]
        for tenant in (acme, globex)
    }
    sockets = {
        tenant: [await opened(user) for _ in range(N_SOCKETS)]
        for tenant, user in ((acme, alice), (globex, mallory))
    }
    mixed = [incident for pair in zip(*rows.values(), strict=True) for incident in pair]
    for _ in range(max(N_CHANGES // len(mixed), 1)):
        await sync_to_async(change)(mixed)
    for tenant, consoles in sockets.items():
        own = {str(incident.pk) for incident in rows[tenant]}
        for ids, words in await asyncio.gather(*map(heard_by, consoles)):
            assert ids <= own
            assert words <= {tenant.slug}
            # the control: it was listening
            assert ids
        for socket in consoles:
            await socket.disconnect()
