"""The only place where a request waits before it takes a thread and a connection: what consoles re-read by themselves.

A hundred of them ask at the same moment. Few at a time, they share what the first of them reads, events find the
machine free, and nobody's connection is held by somebody who waits.
"""

import asyncio
import time
from urllib.parse import parse_qs

from awfdrs_site import feed
from awfdrs_site.lib import live
from awfdrs_site.lib.asgi_types import Application, Receive, Scope, Send

AT_ONCE = 4  # some wait for Postgres while one computes


class Turnstile:
    """Lets few requests of one path in at a time, and tells them since when they have to know everything."""

    def __init__(self, inner: Application, path: str) -> None:
        self._inner, self._path = inner, path
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self._path:
            await self._inner(scope, receive, send)
            return
        known = {**scope, live.KNOWN_SINCE: _known_since(scope)}
        async with self._turns:
            await self._inner(known, receive, send)


def _known_since(scope: Scope) -> float:
    """Who asks because of a message must see what that one is about; who names none, whatever was there by now."""
    [revision] = parse_qs(scope["query_string"].decode("latin-1")).get("rev", [""])[:1]
    return feed.told_at(revision) or time.monotonic()
