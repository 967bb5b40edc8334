"""The live feed: who may listen, and facts passed on. No rows, no rendering."""

import asyncio
import logging
from contextlib import suppress
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.conf import settings
from django.db import DatabaseError
from redis.exceptions import RedisError

from awfdrs_site import health
from awfdrs_site.lib import live
from tenants import auth

COALESCE_SECONDS = 0.15  # at most ~7 messages a second to each browser, however fast rows change
RECHECK_SECONDS = 4.0  # with the answer, a revoked session or membership closes its socket within 5
CLOSE_FORBIDDEN = 4403
CLOSE_UNAUTHENTICATED = 4401
CLOSE_TRY_LATER = 1013
ANSWER_SECONDS = 4.0  # a hung server is an absent one

logger = logging.getLogger(__name__)


class FeedConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]  # channels is untyped
    """Joins the group of the tenant the session has selected; takes no commands."""

    tenant_id: UUID | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Channels asks Redis for a name before anything of ours runs, and would wait for a hung one."""
        if await _redis_answers():
            await super().__call__(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": CLOSE_TRY_LATER})

    async def connect(self) -> None:
        self._facts: dict[tuple[str, str], dict[str, Any]] = {}
        self._flush: asyncio.Task[None] | None = None
        self._recheck: asyncio.Task[None] | None = None
        try:
            await asyncio.wait_for(self._join(), ANSWER_SECONDS)
        except (OSError, TimeoutError, DatabaseError, RedisError):
            await self._refuse(CLOSE_TRY_LATER)
            return
        if self.tenant_id is None:
            await self._refuse(CLOSE_UNAUTHENTICATED)
            return
        await self.accept()
        self._recheck = asyncio.create_task(self._keep_checking())

    async def disconnect(self, code: int) -> None:
        for task in (self._flush, self._recheck):
            if task is not None:
                task.cancel()
        if self.tenant_id is not None:
            # Without Redis there is no group to leave.
            with suppress(OSError, TimeoutError, RedisError):
                leave = self.channel_layer.group_discard(
                    live.group_of(self.tenant_id), self.channel_name
                )
                await asyncio.wait_for(leave, live.SEND_SECONDS)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """A browser that lost its socket asks what it missed: everything may have changed."""
        if isinstance(content, dict) and "since" in content:
            await self.send_json({"reset": True})

    async def fact(self, message: dict[str, Any]) -> None:
        """One change, as `awfdrs_site.lib.live` sends it."""
        fact = {key: message[key] for key in ("topic", "id", "v", "ev")}
        self._facts[fact["topic"], fact["id"]] = fact
        if self._flush is None or self._flush.done():
            self._flush = asyncio.create_task(self._send_soon())

    async def _send_soon(self) -> None:
        await asyncio.sleep(COALESCE_SECONDS)
        waiting, self._facts = list(self._facts.values()), {}
        for fact in waiting:
            await self.send_json(fact)

    async def _keep_checking(self) -> None:
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            try:
                tenant_id = await self._tenant()
            except DatabaseError:
                # Nobody can say whether they may listen, and nothing is committed that they could hear.
                logger.warning("the feed's recheck found no database")
                continue
            if tenant_id != self.tenant_id:
                await self.close(code=CLOSE_FORBIDDEN)
                return

    async def _refuse(self, code: int) -> None:
        """A browser hears a code only from who let it in; refused before that, every reason is 1006."""
        await self.accept()
        await self.close(code=code)

    async def _join(self) -> None:
        self.tenant_id = await self._tenant()
        if self.tenant_id is not None:
            await self.channel_layer.group_add(live.group_of(self.tenant_id), self.channel_name)

    @database_sync_to_async  # type: ignore[untyped-decorator]
    def _tenant(self) -> UUID | None:
        cookie = self.scope.get("cookies", {}).get(settings.SESSION_COOKIE_NAME, "")
        return auth.tenant_of_session(cookie)


async def _redis_answers() -> bool:
    asked = asyncio.wrap_future(health.cache.start())
    done, _ = await asyncio.wait({asked}, timeout=health.DEADLINE_SECONDS)
    return bool(done) and asked.exception() is None
