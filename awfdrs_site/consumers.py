"""The live feed: who may listen, and facts passed on. No rows, no rendering."""

import asyncio
import json
import logging
import time
from contextlib import suppress
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.utils import await_many_dispatch
from django.conf import settings
from django.db import DatabaseError
from redis.exceptions import RedisError

from awfdrs_site import feed, health
from tenants import auth

RECHECK_SECONDS = 4.0  # with the answer, a revoked session or membership closes its socket within 5
LOOK_SECONDS = 0.5
CHECKED_TOGETHER = 200  # sessions in one statement
CLOSE_FORBIDDEN = 4403
CLOSE_UNAUTHENTICATED = 4401
CLOSE_TRY_LATER = 1013
CLOSE_NOT_OURS = 1008
ANSWER_SECONDS = 4.0  # a hung server is an absent one
TEXTS_AT_ONCE = 20  # about three seconds; who takes less re-reads everything instead
OLDEST_PAGE_SECONDS = 30.0
SAID_CHARACTERS = 500
SAID_MOST = 10  # on one line; a browser of ours speaks once

logger = logging.getLogger(__name__)


class FeedConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]  # channels is untyped
    """Listens in the room of the tenant the session has selected; takes no commands."""

    tenant_id: UUID | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Without the channel of its own that Channels would ask Redis for: the feed has one for all."""
        self.scope, self.base_send, self.channel_layer = scope, send, None
        if await _redis_answers():
            with suppress(StopConsumer):
                await await_many_dispatch([receive], self.dispatch)
            return
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": CLOSE_TRY_LATER})

    async def connect(self) -> None:
        self._texts: asyncio.Queue[str] = asyncio.Queue(TEXTS_AT_ONCE)
        self._tasks: list[asyncio.Task[None]] = []
        self._room: feed.Room | None = None
        self._n_said = 0
        try:
            await asyncio.wait_for(self._join(), ANSWER_SECONDS)
        except (OSError, TimeoutError, DatabaseError, RedisError):
            await self._refuse(CLOSE_TRY_LATER)
            return
        if self.tenant_id is None:
            await self._refuse(CLOSE_UNAUTHENTICATED)
            return
        await self.accept()
        self._tasks = [asyncio.create_task(self._keep_sending())]
        _checks_of_this_process().begin(self)

    async def disconnect(self, code: int) -> None:
        for task in self._tasks:
            task.cancel()
        _checks_of_this_process().end(self)
        if self.tenant_id is not None:
            feed.of_this_process().leave(self.tenant_id, self)

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
    ) -> None:
        """What no browser of ours says ends the line: answering it takes time from every console here."""
        self._n_said += 1
        content = _said(text_data or "")
        if content is None or self._n_said > SAID_MOST:
            await self.close(code=CLOSE_NOT_OURS)
            return
        await self.receive_json(content)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """A browser says what it last heard, or how old its page is, and hears what it missed."""
        if self._room is None or not {"since", "age"} & set(content):
            return
        facts = _missed(self._room, content)
        if facts is None:
            self.hear(feed.RESET)
        self.hear(feed.message(facts or [], self._room))

    def hear(self, text: str) -> None:
        """One message, as everybody in the room hears it. A slow line holds nobody up."""
        if self._texts.full():
            while not self._texts.empty():
                self._texts.get_nowait()
            text = feed.RESET
        self._texts.put_nowait(text)

    def hang_up(self, code: int = CLOSE_TRY_LATER) -> None:
        self._tasks.append(asyncio.create_task(self.close(code=code)))

    async def _keep_sending(self) -> None:
        while True:
            await self.send(text_data=await self._texts.get())

    @property
    def session_key(self) -> str:
        return str(self.scope.get("cookies", {}).get(settings.SESSION_COOKIE_NAME, ""))

    async def _refuse(self, code: int) -> None:
        """A browser hears a code only from who let it in; refused before that, every reason is 1006."""
        await self.accept()
        await self.close(code=code)

    async def _join(self) -> None:
        self.tenant_id = await self._tenant()
        if self.tenant_id is not None:
            self._room = await feed.of_this_process().join(self.tenant_id, self)

    @database_sync_to_async  # type: ignore[untyped-decorator]
    def _tenant(self) -> UUID | None:
        return auth.tenant_of_session(self.session_key)


class Checks:
    """Whether those who listen here still may: those whose turn it is are asked for together."""

    def __init__(self) -> None:
        self._checked: dict[FeedConsumer, float] = {}  # when each was asked for last
        self._task: asyncio.Task[None] | None = None

    def begin(self, consumer: FeedConsumer) -> None:
        self._checked[consumer] = time.monotonic()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep_checking())

    def end(self, consumer: FeedConsumer) -> None:
        self._checked.pop(consumer, None)

    async def _keep_checking(self) -> None:
        while self._checked:
            await asyncio.sleep(min(LOOK_SECONDS, RECHECK_SECONDS))
            now = time.monotonic()
            before = now - max(0.0, RECHECK_SECONDS - LOOK_SECONDS)
            due = [consumer for consumer, at in self._checked.items() if at <= before]
            for start in range(0, len(due), CHECKED_TOGETHER):
                await _check(due[start : start + CHECKED_TOGETHER])
            self._checked |= {consumer: now for consumer in due if consumer in self._checked}


async def _check(consumers: list[FeedConsumer]) -> None:
    """Hang up on whom the session lets in no longer, or elsewhere."""
    try:
        tenants = await _tenants_of([consumer.session_key for consumer in consumers])
    except DatabaseError:
        # Nobody can say whether they may listen, and nothing is committed that they could hear.
        logger.warning("the feed's recheck found no database")
        return
    except Exception:  # the edge: a check that has ended would let them listen for ever
        logger.exception("the feed's recheck failed")
        for consumer in consumers:
            consumer.hang_up()
        return
    for consumer in consumers:
        if tenants.get(consumer.session_key) != consumer.tenant_id:
            consumer.hang_up(CLOSE_FORBIDDEN)


_checks: WeakKeyDictionary[asyncio.AbstractEventLoop, Checks] = WeakKeyDictionary()


def _checks_of_this_process() -> Checks:
    return _checks.setdefault(asyncio.get_running_loop(), Checks())


@database_sync_to_async  # type: ignore[untyped-decorator]
def _tenants_of(session_keys: list[str]) -> dict[str, UUID]:
    return auth.tenants_of_sessions(session_keys)


async def _redis_answers() -> bool:
    asked = asyncio.wrap_future(health.cache.start())
    done, _ = await asyncio.wait({asked}, timeout=health.DEADLINE_SECONDS)
    return bool(done) and asked.exception() is None


def _said(text: str) -> dict[str, Any] | None:
    """None for what is too long, no JSON or no object."""
    try:
        content = json.loads(text) if len(text) <= SAID_CHARACTERS else None
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _missed(room: feed.Room, asked: dict[str, Any]) -> list[dict[str, Any]] | None:
    """What a browser that says so has not heard; None when it must re-read everything."""
    since, age = asked.get("since"), asked.get("age")
    if isinstance(since, str):
        return room.after(since)
    if isinstance(age, int | float) and 0 <= age <= OLDEST_PAGE_SECONDS:
        return room.within(age)
    return None
