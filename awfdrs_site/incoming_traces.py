"""The only place that reads a caller's `traceparent`, in front of everything that answers."""

import dataclasses
from datetime import UTC, datetime

from awfdrs_site.lib import tracing
from awfdrs_site.lib.asgi_types import Application, Receive, Scope, Send
from awfdrs_site.lib.correlation import HEADER

_CORRELATION = HEADER.lower().encode()


class IncomingTraces:
    """A caller without a correlation id is known by its trace: then both sides find one by the other."""

    def __init__(self, inner: Application) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        came = _came(scope) if tracing.is_on() and scope["type"] == "http" else None
        if came is None:
            await self._inner(scope, receive, send)
            return
        if not any(name == _CORRELATION for name, _ in scope["headers"]):
            named = (_CORRELATION, f"{came.trace_id:032x}".encode())
            scope = {**scope, "headers": [*scope["headers"], named]}
        with tracing.coming(came):
            await self._inner(scope, receive, send)


def _came(scope: Scope) -> tracing.Came | None:
    said = dict(scope["headers"]).get(tracing.HEADER.encode(), b"").decode("latin-1")
    came = tracing.read(said)
    return dataclasses.replace(came, at=datetime.now(UTC)) if came else None
