"""Web processes killed one at a time while everybody sends the same event: one row, one id, and the other answers."""

import asyncio
import json
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tenants.models import Tenant
from tests.cast import event, key_of, stored
from tests.faults.sizes import IS_FULL
from tests.faults.table import Row
from tests.support.web import Web, served

pytestmark = pytest.mark.faults

N_REQUESTS, N_CONNECTIONS = 10_000, 64
BETWEEN_KILLS_SECONDS = 1.5


class Gone(Exception):
    """The process on the other side was killed."""


async def _post(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, bytes]:
    writer.write(request)
    try:
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        return int(head.split(b" ")[1]), await reader.readexactly(length)
    except (OSError, asyncio.IncompleteReadError) as gone:
        raise Gone from gone


async def _send(web: Web, request: bytes, left: Iterator[int], told: Counter[object]) -> None:
    """One connection after the other, as long as there is something left to send."""
    streams = None
    for _ in left:
        while True:
            try:
                streams = streams or await asyncio.open_connection("127.0.0.1", web.port)
                status, body = await _post(*streams, request)
            except (Gone, OSError):
                told["gone"] += 1
                streams = None
                await asyncio.sleep(random.random() / 20)
                continue
            told[status] += 1
            told[json.loads(body).get("event_id")] += 1
            break


async def _kill(web: Web, sending: asyncio.Future[Any]) -> int:
    n_killed = 0
    while not sending.done():
        await asyncio.sleep(BETWEEN_KILLS_SECONDS)
        workers = web.workers()
        if len(workers) == 2 and not sending.done():  # the other one is alive
            os.kill(random.choice(workers), signal.SIGKILL)
            n_killed += 1
    return n_killed


async def _fire(web: Web, request: bytes) -> tuple[Counter[object], int]:
    told: Counter[object] = Counter()
    left = iter(range(N_REQUESTS))
    sending = asyncio.gather(*(_send(web, request, left, told) for _ in range(N_CONNECTIONS)))
    n_killed = await _kill(web, sending)
    await sending
    return told, n_killed


@pytest.mark.skipif(not IS_FULL, reason="make faults: two web processes take a minute to start")
def test_duplicates_are_one_event_while_web_processes_are_killed(
    transactional_db: None, acme: Tenant, row: Row
) -> None:
    token = key_of(acme, rate_per_second=1e6, burst=1_000_000)
    body = json.dumps(event(idempotency_key="once")).encode()
    request = (
        b"POST /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s"
        % (token.encode(), len(body), body)
    )
    with served(workers=2) as web:
        told, n_killed = asyncio.run(_fire(web, request))
    ids = [one for one in told if isinstance(one, str) and one != "gone"]
    # issue 7: one row, one id, no 5xx from a living process
    assert (len(stored(acme)), len(ids)) == (1, 1)
    assert {one for one in told if isinstance(one, int)} <= {200, 201}
    assert told[200] + told[201] == N_REQUESTS
    # somebody was killed while he had requests
    assert n_killed > 0
    assert told["gone"] > 0
    row.tell(
        f"{n_killed} web processes killed",
        load=f"{N_REQUESTS} posts of one key over {N_CONNECTIONS} connections",
        losses=N_REQUESTS - told[200] - told[201],
        control=f"{told['gone']} requests met a dead process",
    )
