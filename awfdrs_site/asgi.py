"""The ASGI application: the lane for events, HTTP with a limit on bodies before they are read, the feed's websocket."""

import json
import os
from typing import cast

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "awfdrs_site.settings")
django.setup(set_prefix=False)  # apps are loaded from here on

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from channels.sessions import CookieMiddleware  # noqa: E402

from awfdrs_site import deadline  # noqa: E402
from awfdrs_site.deadline import Deadline  # noqa: E402
from awfdrs_site.handler import Handler, settle  # noqa: E402
from awfdrs_site.incoming_traces import IncomingTraces  # noqa: E402
from awfdrs_site.lib import bodies, tracing  # noqa: E402
from awfdrs_site.lib.api_errors import MEDIA_TYPE  # noqa: E402
from awfdrs_site.lib.asgi_types import Application, Message, Receive, Scope, Send  # noqa: E402
from awfdrs_site.lib.correlation import HEADER, accepted  # noqa: E402
from awfdrs_site.lib.problems import Problem, as_dict  # noqa: E402
from awfdrs_site.routing import websocket_urlpatterns  # noqa: E402
from awfdrs_site.turnstile import Turnstile  # noqa: E402
from events.lane import Lane  # noqa: E402
from safety import checks  # noqa: E402

checks.demand()  # the rules: better no server than one that fails at the first failure
tracing.start()


EVENT_PATH, BATCH_PATH = "/api/v1/events", "/api/v1/events/batch"
REREAD_PATH = "/incidents/rows/"


class BodyTooLarge(Exception):
    """More came than the path takes; raised where the body is read, answered by the guard."""


class BodyLimit:
    """Refuses a body that is too large by what it announces, or by what comes without announcement."""

    def __init__(self, inner: Application) -> None:
        self.inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return
        limit = limit_of(scope["path"])
        headers = dict(scope["headers"])
        try:
            if int(headers.get(b"content-length", b"0")) > limit:
                raise BodyTooLarge
            await self.inner(scope, _counting(receive, limit), send)
        except BodyTooLarge:
            if _is_of_events(scope):  # whose it was is asked, and the refusal stands in their books
                told = {**scope, bodies.TOO_LARGE: limit}
                await self.inner(told, _nothing, _closing(send))
            else:
                await _refuse(scope, headers, limit, send)


def limit_of(path: str) -> int:
    return bodies.BATCH_BYTES if path.rstrip("/") == BATCH_PATH else bodies.EVENT_BYTES


def _is_of_events(scope: Scope) -> bool:
    return scope.get("method") == "POST" and scope["path"].rstrip("/") in (EVENT_PATH, BATCH_PATH)


async def _nothing() -> Message:
    """In place of a body that is not read."""
    return {"type": "http.request", "body": b"", "more_body": False}


def _closing(send: Send) -> Send:
    async def closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    return closing


def _counting(receive: Receive, limit: int) -> Receive:
    came = 0

    async def counted() -> Message:
        nonlocal came
        message = await receive()
        came += len(message.get("body", b""))
        if came > limit:
            raise BodyTooLarge
        return message

    return counted


async def _refuse(scope: Scope, headers: dict[bytes, bytes], limit: int, send: Send) -> None:
    correlation_id = accepted(headers.get(HEADER.lower().encode(), b"").decode("latin-1"))
    problem = Problem("too_large", f"At most {limit} bytes are read here.")
    body = as_dict(problem, instance=scope["path"][:500], correlation_id=correlation_id)
    answer = [
        (b"content-type", MEDIA_TYPE.encode()),
        (HEADER.lower().encode(), correlation_id.encode()),
        (b"connection", b"close"),  # the rest of the body is not read
    ]
    await send({"type": "http.response.start", "status": problem.status, "headers": answer})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


lane = Lane(
    BodyLimit(Deadline(Turnstile(cast(Application, Handler()), REREAD_PATH))),
    hung=deadline.refuse,
    database_answers=deadline.database_answers,
)
application = ProtocolTypeRouter(
    {
        "http": IncomingTraces(lane),
        "websocket": AllowedHostsOriginValidator(
            # Only the cookie: whose it is the consumer asks itself, and can say that nobody knows.
            CookieMiddleware(URLRouter(websocket_urlpatterns))
        ),
    }
)
settle()
