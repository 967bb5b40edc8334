"""The only place that gives up a request: when it is late and the database hangs, it is answered 503 all the same.

A hung Postgres keeps its connections open, so no timeout of the network fires; slow work goes on as long as it takes.
"""

import asyncio
from io import BytesIO

from django.core.handlers.asgi import ASGIRequest

from awfdrs_site import health
from awfdrs_site.lib import api_errors
from awfdrs_site.lib.asgi_types import Application, Message, Receive, Scope, Send
from awfdrs_site.lib.correlation import HEADER, accepted
from awfdrs_site.lib.problems import Problem

LATE_SECONDS = 3.5  # with the question to the database an answer comes within 5 s
ASK_SECONDS = 1.0


class Deadline:
    """Nobody waits for a hung database; what has begun to answer is left alone."""

    def __init__(self, inner: Application) -> None:
        self.inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(send)
        work = asyncio.ensure_future(self.inner(scope, receive, answer.send))
        try:
            while not (await asyncio.wait({work}, timeout=LATE_SECONDS))[0]:
                if not answer.has_begun and not await database_answers():
                    await answer.refuse(scope)
                    return
            work.result()
        finally:
            work.cancel()


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer for a database that does not, for whoever waited for it elsewhere."""
    await _Answer(send).refuse(scope)


class _Answer:
    """One request is answered once: by the application, or, for good, by us."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_begun = self._is_refused = False

    async def send(self, message: Message) -> None:
        if self._is_refused:
            return
        self.has_begun = True
        await self._send(message)

    async def refuse(self, scope: Scope) -> None:
        if self.has_begun:
            return
        self._is_refused = True
        request = ASGIRequest(scope, BytesIO())
        request.correlation_id = accepted(request.headers.get(HEADER, ""))  # type: ignore[attr-defined]
        problem = Problem("unavailable", "The database does not answer.", retry_after=1)
        answer = api_errors.bad_request(request, problem)  # a page for people, JSON for programs
        answer[HEADER] = request.correlation_id  # type: ignore[attr-defined]
        headers = [(name.lower().encode(), value.encode()) for name, value in answer.items()]
        await self._send(
            {"type": "http.response.start", "status": answer.status_code, "headers": headers}
        )
        await self._send({"type": "http.response.body", "body": answer.content})


async def database_answers() -> bool:
    """Asked anew, on a connection and a thread of its own."""
    asked = asyncio.wrap_future(health.database.start())
    done, _ = await asyncio.wait({asked}, timeout=ASK_SECONDS)
    return bool(done) and asked.exception() is None
