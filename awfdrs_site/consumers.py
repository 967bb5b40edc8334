"""The live feed: who may listen, and facts passed on. No rows, no rendering."""

import asyncio
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.conf import settings

from awfdrs_site.lib import live
from tenants import auth

COALESCE_SECONDS = 0.15  # at most ~7 messages a second to each browser, however fast rows change
RECHECK_SECONDS = 5.0  # a revoked session or membership closes its socket within this
CLOSE_FORBIDDEN = 4403
CLOSE_UNAUTHENTICATED = 4401


class FeedConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]  # channels is untyped
    """Joins the group of the tenant the session has selected; takes no commands."""

    tenant_id: UUID | None = None

    async def connect(self) -> None:
        self._facts: dict[tuple[str, str], dict[str, Any]] = {}
        self._flush: asyncio.Task[None] | None = None
        self._recheck: asyncio.Task[None] | None = None
        self.tenant_id = await self._tenant()
        if self.tenant_id is None:
            await self.close(code=CLOSE_UNAUTHENTICATED)
            return
        await self.channel_layer.group_add(live.group_of(self.tenant_id), self.channel_name)
        await self.accept()
        self._recheck = asyncio.create_task(self._keep_checking())

    async def disconnect(self, code: int) -> None:
        for task in (self._flush, self._recheck):
            if task is not None:
                task.cancel()
        if self.tenant_id is not None:
            await self.channel_layer.group_discard(live.group_of(self.tenant_id), self.channel_name)

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
            if await self._tenant() != self.tenant_id:
                await self.close(code=CLOSE_FORBIDDEN)
                return

    @database_sync_to_async  # type: ignore[untyped-decorator]
    def _tenant(self) -> UUID | None:
        cookie = self.scope.get("cookies", {}).get(settings.SESSION_COOKIE_NAME, "")
        return auth.tenant_of_session(cookie)
