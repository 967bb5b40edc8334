"""The only place where requests wait for each other: whoever came while one group commits is the next group."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from psycopg import AsyncConnection

from events import lane_store
from events.lane_store import Arrival, Landing, Seen

MOST, MOST_BYTES = 1000, 4 * 1024 * 1024  # of one group
AT_ONCE = 2  # groups under way: while Postgres stores one, we read the next
LATE_SECONDS = 3.5  # as long as any request waits before somebody asks whether the database hangs
APART_SECONDS = 5.0  # without us after it did

_logger = logging.getLogger(__name__)


class Hung(Exception):
    """The database holds the group and answers nobody: it may be stored, and may not."""


@dataclass
class Group:
    """The requests of one event loop. No timer: a group leaves as soon as one before it has committed."""

    database_answers: Callable[[], Awaitable[bool]]
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _waiting: list[tuple[Arrival, asyncio.Future[Landing | None]]] = field(default_factory=list)
    _flushers: set[asyncio.Task[None]] = field(default_factory=set)
    _idle: list[AsyncConnection[Any]] = field(default_factory=list)
    _seen: Seen = field(default_factory=Seen)
    _n_hung: int = 0
    _apart_until: float = 0.0

    @property
    def is_apart(self) -> bool:
        """Whether the database hung a moment ago."""
        return self._apart_until > 0 and self.loop.time() < self._apart_until

    def join(self, arrival: Arrival) -> asyncio.Future[Landing | None]:
        """What becomes of it once its group is committed. Raises Hung; None: try another door."""
        future: asyncio.Future[Landing | None] = self.loop.create_future()
        self._waiting.append((arrival, future))
        if len(self._flushers) < AT_ONCE:
            flusher = self.loop.create_task(self._flush())
            self._flushers.add(flusher)
            flusher.add_done_callback(self._flushers.discard)
        return future

    async def close(self) -> None:
        await asyncio.gather(*self._flushers)
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close()

    async def _flush(self) -> None:
        while self._waiting:
            await self._send(self._next())

    def _next(self) -> list[tuple[Arrival, asyncio.Future[Landing | None]]]:
        n, n_bytes = 0, 0
        for arrival, _ in self._waiting[:MOST]:
            n_bytes += arrival.n_bytes
            if n and n_bytes > MOST_BYTES:
                break
            n += 1
        taken, self._waiting = self._waiting[:n], self._waiting[n:]
        return taken

    async def _send(self, group: list[tuple[Arrival, asyncio.Future[Landing | None]]]) -> None:
        work = self.loop.create_task(self._store([arrival for arrival, _ in group]))
        while not (await asyncio.wait({work}, timeout=LATE_SECONDS))[0]:
            if not await self.database_answers():
                self._give_up(group)
                return
        for (_, future), landing in zip(group, work.result(), strict=True):
            if not future.done():  # its client may have left
                future.set_result(landing)

    async def _store(self, arrivals: list[Arrival]) -> list[Landing | None]:
        """On any failure every one tries the other door, where none can spoil another's."""
        n_hung, connection = self._n_hung, self._idle.pop() if self._idle else None
        landings: list[Landing | None] = [None] * len(arrivals)
        try:
            if connection is None or connection.closed:
                connection = await lane_store.connect()
            landings = await lane_store.store(connection, arrivals, self._seen)
        except Exception:
            _logger.warning("a group was not stored together", exc_info=True)
            n_hung = -1  # its connection is kept no longer
        if connection is not None and n_hung == self._n_hung:
            self._idle.append(connection)
        elif connection is not None:
            await connection.close()
        return landings

    def _give_up(self, group: list[tuple[Arrival, asyncio.Future[Landing | None]]]) -> None:
        """What hangs ends by itself some time; whoever waits is told, and who comes goes elsewhere."""
        self._n_hung, self._apart_until = self._n_hung + 1, self.loop.time() + APART_SECONDS
        self._idle = []
        for _, future in [*group, *self._waiting]:
            if not future.done():
                future.set_exception(Hung())
        self._waiting = []
