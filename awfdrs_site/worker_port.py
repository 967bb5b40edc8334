"""The only HTTP that a worker answers, where WORKER_PORT says so: whether it still sweeps, and what it counted."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from django.conf import settings
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from awfdrs_site import metrics, poller

STALLED_SECONDS = 120  # a sweep may wait for a statement's deadline, and there are a dozen


class Handler(BaseHTTPRequestHandler):
    timeout = 5  # of whoever connects and says nothing

    def do_GET(self) -> None:
        if self.path == "/health":
            silent = time.monotonic() - poller.swept_at()
            if silent < STALLED_SECONDS:
                return self._answer(200, '{"status":"ok"}')
            return self._answer(503, f'{{"status":"stalled","seconds":{silent:.0f}}}')
        if self.path == "/metrics" and settings.ENABLE_METRICS:
            if not metrics.may_read(address=self.client_address[0], headers=self.headers):
                return self._answer(401, "")
            registry = CollectorRegistry()
            registry.register(metrics.Counted())
            return self._answer(200, generate_latest(registry).decode(), CONTENT_TYPE_LATEST)
        return self._answer(404, "")

    def _answer(self, status: int, body: str, kind: str = "application/json") -> None:
        content = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Probes come every few seconds, and say nothing."""


def open_port(port: int) -> ThreadingHTTPServer:
    """Answer from now on, in a thread of its own."""
    server = ThreadingHTTPServer(("0.0.0.0", port), Handler)  # noqa: S104  # probes ask from outside the container
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="worker-port", daemon=True).start()
    return server
