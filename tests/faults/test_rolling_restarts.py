"""Two web processes replaced one after the other, again and again, under load: nobody is refused, reset or told 5xx."""

import asyncio
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings

from awfdrs_site.demo.children import Children
from awfdrs_site.management.commands import up
from awfdrs_site.wheels import machine
from events.models import Event
from tenants import scoping
from tenants.models import Tenant
from tests.cast import event, key_of
from tests.faults.sizes import on_demand, sized
from tests.faults.table import Row
from tests.support.web import environment

pytestmark = [pytest.mark.faults, on_demand]

N_RESTARTS, N_WEBS = sized(small=1, full=20), 2
N_CONNECTIONS = sized(small=8, full=16)
WAIT_SECONDS = 60


class Load:
    """Clients that keep their connections as long as they are let, each request an event of its own."""

    def __init__(self, port: int, token: str) -> None:
        self.told: Counter[str | int] = Counter()
        self._port, self._token, self._is_over, self._event = port, token, False, event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), daemon=True)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def wait_for(self, is_so: Callable[[Counter[str | int]], bool]) -> None:
        until = time.monotonic() + WAIT_SECONDS
        while not is_so(self.told):
            assert time.monotonic() < until, self.told
            time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._thread.join(WAIT_SECONDS)

    async def _all(self) -> None:
        await asyncio.gather(*(self._send() for _ in range(N_CONNECTIONS)))

    async def _send(self) -> None:
        streams = None
        while not self._is_over:
            try:
                streams = streams or await asyncio.open_connection("127.0.0.1", self._port)
                is_kept = await self._ask(*streams)
            except (OSError, asyncio.IncompleteReadError) as gone:
                self.told[type(gone).__name__] += 1  # refused, reset, or hung up without an answer
                is_kept = False
            if not is_kept:
                if streams is not None:
                    streams[1].close()
                streams = None

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        body = json.dumps(self._event | {"idempotency_key": str(uuid4())}).encode()
        writer.write(
            b"POST /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s"
            % (self._token.encode(), len(body), body)
        )
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
        self.told[int(head.split(b" ")[1])] += 1
        return b"connection: close" not in head


class Webs:
    """As `up` runs them: one socket, and a process that is ready before another is told to end."""

    def __init__(self, home: Path) -> None:
        self._listener = up.listening(machine.LOOPBACK, 0)
        self.port: int = self._listener.getsockname()[1]
        self._programs = [up.web(number, self._listener) for number in range(1, N_WEBS + 1)]
        self._children = Children(
            environment=environment(is_lane=True), home=settings.BASE_DIR, logs=home, say=print
        )
        for program in self._programs:
            self._children.start(program)

    def restart(self) -> None:
        for program in self._programs:
            assert self._children.renew(program, within_seconds=up.STOP_SECONDS)

    def pids(self) -> list[int | None]:
        return [self._children.pid_of(program) for program in self._programs]

    def close(self) -> None:
        self._children.stop(within_seconds=up.STOP_SECONDS)
        self._listener.close()


@pytest.fixture
def webs(transactional_db: None, tmp_path: Path) -> Iterator[Webs]:
    made = Webs(tmp_path)
    yield made
    made.close()


def test_restarting_both_web_processes_under_load_turns_nobody_away(
    webs: Webs, acme: Tenant, row: Row
) -> None:
    token = key_of(acme, rate_per_second=1e6, burst=1_000_000)
    with Load(webs.port, token) as load:
        for _ in range(N_RESTARTS):
            before = webs.pids()
            webs.restart()
            assert not set(before) & set(webs.pids())
    # issue 10: 5xx 0, refused or reset connections 0, and what was accepted is there
    assert set(load.told) == {201}
    with scoping.bound(acme.pk):
        assert Event.objects.for_tenant(acme).count() == load.told[201]

    # the same load notices a process that only dies
    with Load(webs.port, token) as noticing:
        noticing.wait_for(lambda told: told[201] > 0)
        os.kill(webs.pids()[0] or os.getpid(), signal.SIGKILL)
        noticing.wait_for(lambda told: set(told) != {201})
    row.tell(
        f"{N_RESTARTS} rolling restarts of {N_WEBS} web processes",
        load=f"{load.told[201]} events answered over {N_CONNECTIONS} connections",
        losses=0,
        control=f"killed instead: {dict(noticing.told)}",
    )
