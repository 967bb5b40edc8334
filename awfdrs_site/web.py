"""The web process: uvicorn, told when it takes requests and made to let everybody go before it ends."""

import argparse
import asyncio
import os
import socket
import time
from typing import Any

import uvicorn

from awfdrs_site.lib.asgi_types import Application, Message, Receive, Scope, Send

DRAIN_SECONDS = (
    2.0  # whoever keeps a connection asks within it, hears that it ends, and opens another
)
GRACEFUL_SECONDS = 20  # what is under way then may take
LOOK_SECONDS = 0.05
KEPT_SECONDS = (
    75  # longer than proxies keep a connection: theirs is not closed under a request on its way
)
MESSAGE_BYTES = 8 * 1024  # over a websocket: browsers of ours say less, and more is not read


class Draining:
    """Once it has begun, every answer says that its connection ends: nobody's next request meets a closed one."""

    def __init__(self, inner: Application) -> None:
        self._inner = inner
        self.has_begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def parting(message: Message) -> None:
            if self.has_begun and message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self._inner(scope, receive, parting if scope["type"] == "http" else send)


class Server(uvicorn.Server):
    """`ready_fd` is told, once, that requests are taken from now on."""

    def __init__(self, config: uvicorn.Config, draining: Draining, *, ready_fd: int | None) -> None:
        super().__init__(config)
        self._draining, self._ready_fd = draining, ready_fd

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ready_fd is not None:
            os.write(self._ready_fd, b"ready")
            os.close(self._ready_fd)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nobody new, say goodbye with every answer, and only then hang up."""
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        self._draining.has_begun = True
        until = time.monotonic() + DRAIN_SECONDS
        while self.server_state.connections and time.monotonic() < until:
            await asyncio.sleep(LOOK_SECONDS)
        await super().shutdown(sockets)


def configured(application: Any, **given: Any) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        access_log=False,
        ws_max_size=MESSAGE_BYTES,
        timeout_keep_alive=KEPT_SECONDS,
        **given,
    )


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m awfdrs_site.web")
    asked.add_argument("--host", default="127.0.0.1")
    asked.add_argument("--port", type=int, default=8000)
    asked.add_argument(
        "--fd", type=int, help="a socket that listens already, instead of an address"
    )
    asked.add_argument("--ready-fd", type=int, help="a pipe that is told when requests are taken")
    asked.add_argument("--graceful-seconds", type=int, default=GRACEFUL_SECONDS)
    given = asked.parse_args()
    from awfdrs_site.asgi import application  # Django is set up by it

    draining = Draining(application)
    config = configured(
        draining,
        host=given.host,
        port=given.port,
        timeout_graceful_shutdown=given.graceful_seconds,
        # Nobody's forwarded headers are believed but those of the proxies that are named.
        proxy_headers="FORWARDED_ALLOW_IPS" in os.environ,
    )
    # By its number alone: Python finds out what kind it is.
    shared = None if given.fd is None else [socket.socket(fileno=given.fd)]
    Server(config, draining, ready_fd=given.ready_fd).run(sockets=shared)


if __name__ == "__main__":
    main()
