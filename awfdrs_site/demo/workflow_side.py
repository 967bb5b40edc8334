"""The other side of a retry: verifies it, runs it once, answers, and may report success later."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread, Timer
from types import TracebackType
from typing import Any, ClassVar, Self

from actions import signing

HOST = "127.0.0.1"
BODY_LIMIT_BYTES = 2_000_000
REPORT_AFTER_SECONDS = 1.5  # a run that was started again takes its time


@dataclass(frozen=True)
class Retry:
    """What a signed retry asks for."""

    workflow: str
    run_id: str
    attempt: int
    payload: dict[str, Any]


@dataclass(frozen=True)
class Part:
    """How one workflow answers: whether it can run again now, and what happens when it did."""

    secret: str
    accepts: Callable[[Retry], bool]
    completed: Callable[[Retry], None]
    takes_seconds: float = 0.0  # before it answers


class WorkflowSide:
    """`with WorkflowSide() as side: side.play(slug, Part(...)); ... side.retry_url`."""

    def __init__(self) -> None:
        self._parts: dict[str, Part] = {}
        self._done: set[str] = set()  # idempotency keys of what has been run
        self._lock = Lock()
        self._reports: list[Timer] = []
        handler = type("Handler", (_Handler,), {"side": self})
        self._server = _Server((HOST, 0), handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for report in self._reports:  # what was accepted is also reported
            report.join()

    @property
    def retry_url(self) -> str:
        return f"http://{HOST}:{self._server.server_address[1]}/retry"

    def play(self, slug: str, part: Part) -> None:
        self._parts[slug] = part

    def answer(self, headers: dict[str, str], body: bytes) -> int:
        """The status. A key that was run already is accepted again and not run again."""
        try:
            said = json.loads(body)
            part = self._parts[said["workflow"]]
            signing.verify(headers=headers, body=body, secret=part.secret, now=datetime.now(UTC))
            if said.get("test") is True:
                return 200  # the test button asks whether we would listen, and for no run
            retry = Retry(said["workflow"], said["run_id"], said["attempt"], said["payload"])
            key = headers["idempotency-key"]
        except (ValueError, KeyError, TypeError, signing.SignatureInvalid):
            return 401
        return self._run(key, retry, part)

    def _run(self, key: str, retry: Retry, part: Part) -> int:
        time.sleep(part.takes_seconds)
        with self._lock:
            if key in self._done:
                return 200
            if not part.accepts(retry):
                return 503
            self._done.add(key)
            report = Timer(REPORT_AFTER_SECONDS, part.completed, (retry,))
            report.daemon = True
            self._reports.append(report)
            report.start()
        return 200


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # a burst of retries must not be dropped by the kernel

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that hangs up is not news."""


class _Handler(BaseHTTPRequestHandler):
    side: ClassVar[WorkflowSide]
    timeout = 10

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(min(length, BODY_LIMIT_BYTES))
        headers = {name.lower(): value for name, value in self.headers.items()}
        status = self.side.answer(headers, body)
        words = {200: "accepted", 401: "not signed by whom I know", 503: "not yet"}
        answer = json.dumps({"status": words[status]}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
