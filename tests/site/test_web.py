"""A web process that ends lets its connections end first."""

import asyncio
from typing import Any

import pytest
import uvicorn

from awfdrs_site.lib.asgi_types import Message, Receive, Scope, Send
from awfdrs_site.web import Draining, Server
from awfdrs_site.wheels import machine

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        start: Message = {"type": "http.response.start", "status": 204, "headers": []}
        await send(start)
        await send({"type": "http.response.body", "body": b""})


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(REQUEST)
    return (await reader.readuntil(b"\r\n\r\n")).lower()


async def test_a_kept_connection_is_told_that_it_ends_before_it_does() -> None:
    draining, port = Draining(_app), machine.free_port()
    config = uvicorn.Config(draining, port=port, log_config=None, lifespan="off")
    server = Server(config, draining, ready_fd=None)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    here: Any = await asyncio.open_connection("127.0.0.1", port)
    assert b"connection: close" not in await _answer(*here)
    server.should_exit = True
    while not draining.has_begun:
        await asyncio.sleep(0.01)
    # its next request is answered, and the connection ends behind the answer
    assert b"connection: close" in await _answer(*here)
    assert await here[0].read() == b""
    with pytest.raises(OSError):  # noqa: PT011  # refused: others take from the same socket now
        await asyncio.open_connection("127.0.0.1", port)
    await running
