"""A web process that ends lets its connections end first."""

import asyncio
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from awfdrs_site.lib.asgi_types import Message, Receive, Scope, Send
from awfdrs_site.web import MESSAGE_BYTES, Draining, Server, configured
from awfdrs_site.wheels import machine

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": str(len(message["text"]))})
    if scope["type"] == "http":
        start: Message = {"type": "http.response.start", "status": 204, "headers": []}
        await send(start)
        await send({"type": "http.response.body", "body": b""})


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(REQUEST)
    return (await reader.readuntil(b"\r\n\r\n")).lower()


async def _started(draining: Draining, port: int) -> tuple[Server, asyncio.Task[None]]:
    config = configured(draining, port=port, log_config=None, lifespan="off")
    server = Server(config, draining, ready_fd=None)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    return server, running


async def test_a_kept_connection_is_told_that_it_ends_before_it_does() -> None:
    draining, port = Draining(_app), machine.free_port()
    server, running = await _started(draining, port)
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


async def test_a_message_of_more_than_a_browser_says_is_not_read() -> None:
    port = machine.free_port()
    server, running = await _started(Draining(_app), port)
    async with connect(f"ws://127.0.0.1:{port}/") as line:
        await line.send("x" * MESSAGE_BYTES)
        assert await line.recv() == str(MESSAGE_BYTES)
        await line.send("x" * (MESSAGE_BYTES + 1))
        with pytest.raises(ConnectionClosed) as closed:
            await line.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009  # too big
    server.should_exit = True
    await running


def test_a_connection_is_kept_longer_than_proxies_keep_theirs() -> None:
    """Else a request that a proxy sends on an idle connection meets a server that is just closing it."""
    assert configured(_app).timeout_keep_alive > 60
