"""What tests of outgoing calls share: a request, a told resolver, a server that misbehaves."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from threading import Event, Thread
from typing import Any

from actions.transport import IPNetwork, OutgoingRequest

NOBODY: tuple[IPNetwork, ...] = ()
LOOPBACK: tuple[IPNetwork, ...] = (ip_network("127.0.0.1/32"),)


def request(url: str, **changes: Any) -> OutgoingRequest:
    fields: dict[str, Any] = {
        "method": "POST",
        "headers": {},
        "body": b"{}",
        "deadline_seconds": 3.0,
    }
    return OutgoingRequest(url=url, **fields | changes)


@dataclass
class StubResolver:
    """Each call takes the next answer; the last one stays."""

    answers: list[list[str]]
    asked: list[str] = field(default_factory=list)

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


@contextmanager
def raw_server(talk: Callable[[socket.socket, Event], None]) -> Iterator[int]:
    """A port where one connection is handed to `talk`, with an event set when the test is over."""
    over = Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    talk(connection, over)
                except OSError:
                    return  # the caller hung up, which is what most of these tests wait for

        thread = Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def read_request(connection: socket.socket) -> bytes:
    """All of it: closing with bytes unread would reset the connection, and the answer with it."""
    received = b""
    while not received.endswith(b"{}"):
        piece = connection.recv(4096)
        if not piece:
            raise ConnectionError("the caller hung up")
        received += piece
    return received


def answering(raw: bytes) -> Callable[[socket.socket, Event], None]:
    def talk(connection: socket.socket, over: Event) -> None:
        read_request(connection)
        connection.sendall(raw)

    return talk
