"""The only place that plays, and records, the other side of outgoing calls in tests."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Event, Thread
from time import monotonic
from types import TracebackType
from typing import ClassVar, Self


@dataclass(frozen=True, kw_only=True)
class Received:
    at: float  # time.monotonic(), as received completely
    method: str
    path: str  # with the query
    headers: Mapping[str, str]  # lower-case names
    body: bytes
    peer: str


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] = b""  # pieces are flushed one by one
    after: Event | None = None  # answer only when this is set
    hangs_up: bool = False  # close the connection without an answer


Answering = Reply | Callable[[Received], Reply]


class Receiver:
    """`with Receiver({"/hook": Reply(status=503)}) as receiver: ... receiver.url("/hook")`.

    Unlisted paths answer 200. With `ledger`, every request is one JSON line on disk,
    fsynced before the answer: what it says survives a kill of either side.
    """

    def __init__(
        self, answers: Mapping[str, Answering] | None = None, *, ledger: Path | None = None
    ) -> None:
        self._answers = dict(answers or {})
        self._ledger = ledger
        self._received: list[Received] = []
        self._changed = Condition()
        self._closing = Event()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"receiver": self}))
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def requests(self) -> list[Received]:
        with self._changed:
            return list(self._received)

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def answer(self, path: str, answering: Answering) -> None:
        """From now on; the query is not part of the path."""
        self._answers[path] = answering

    def wait_for(self, n_requests: int, *, seconds: float = 5.0) -> list[Received]:
        """Raises TimeoutError when fewer came in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._received) >= n_requests, seconds):
                raise TimeoutError(f"{len(self._received)} of {n_requests} requests came")
            return list(self._received)

    def take(self, received: Received) -> Reply:
        with self._changed:
            self._received.append(received)
            if self._ledger is not None:
                _write_down(received, self._ledger)
            self._changed.notify_all()
        answering = self._answers.get(received.path.partition("?")[0], Reply())
        reply = answering(received) if callable(answering) else answering
        while reply.after is not None and not reply.after.wait(0.05):
            if self._closing.is_set():
                break
        return reply


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # of the default 5, a burst makes the kernel drop and wait a second

    # A client that hangs up in the middle is what many tests are about, not news.
    def handle_error(self, request: object, client_address: object) -> None:
        pass


class _Handler(BaseHTTPRequestHandler):
    receiver: ClassVar[Receiver]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def receive(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        reply = self.receiver.take(
            Received(
                at=monotonic(),
                method=self.command,
                path=self.path,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=body,
                peer=self.client_address[0],
            )
        )
        if not reply.hangs_up:
            self._send(reply)
        self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = receive

    def _send(self, reply: Reply) -> None:
        pieces = [reply.body] if isinstance(reply.body, bytes) else reply.body
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if isinstance(reply.body, bytes):
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        for piece in pieces if self.command != "HEAD" else []:
            self.wfile.write(piece)
            self.wfile.flush()


def _write_down(received: Received, ledger: Path) -> None:
    line = {
        "at": received.at,
        "method": received.method,
        "path": received.path,
        "headers": dict(received.headers),
        "body": received.body.decode("utf-8", "replace"),
        "body_sha256": sha256(received.body).hexdigest(),
        "peer": received.peer,
    }
    with ledger.open("a", encoding="utf-8") as out:
        out.write(json.dumps(line) + "\n")
        out.flush()
        os.fsync(out.fileno())
