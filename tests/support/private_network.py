"""Run as a program in a network namespace of its own, where every address of the world is this machine.

A canary listens on every port that calls may use, under every address: whatever is dialled, it notices. Reads a JSON
list of URLs, sends to each through the transport, and prints how each call ended and how often the canary was hit.
"""

import json
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from django.conf import settings

PLAIN, ENCRYPTED = (80, 8080), (443, 8443)
PUBLIC = "93.184.216.34"
NAMES = ("example.com", "hooks.example.com", "xn--bcher-kva.example")
ADDRESSES = (PUBLIC, "2606:4700:4700::1111")
WHOLE_WORLD = (
    "ip link set lo up",
    "ip route add local 0.0.0.0/0 dev lo",
    "ip -6 route add local ::/0 dev lo",
)


class Canary:
    """Counts connections, whether or not a request follows."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.hits: list[str] = []
        self._tls = tls

    def listen(self) -> None:
        for port in (*PLAIN, *ENCRYPTED):
            server = _server(self, port)
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def wrapped(self, connection: Any, port: int) -> Any:
        return (
            self._tls.wrap_socket(connection, server_side=True) if port in ENCRYPTED else connection
        )


def _server(canary: Canary, port: int) -> ThreadingHTTPServer:
    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6  # and IPv4 within it

        def get_request(self) -> Any:
            connection, peer = super().get_request()
            canary.hits.append(f"{connection.getsockname()[0]} {port}")
            return connection, peer

        def finish_request(self, request: Any, client_address: Any) -> None:
            super().finish_request(canary.wrapped(request, port), client_address)

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A handshake that fails is what the other side reports."""

    return Server(("::", port), _Answers)


class _Answers(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.end_headers()


def resolver(address: str) -> Any:
    def answer(host: str, port: int) -> Sequence[str]:
        return [address]

    return answer


def outcome(url: str, *, resolves_to: str) -> str:
    from actions.transport import NotSent, OutcomeUnknown, Refused, send
    from tests.support.outgoing import NOBODY, request

    try:
        return str(send(request(url), allow_cidrs=NOBODY, resolver=resolver(resolves_to)).status)
    except (Refused, NotSent, OutcomeUnknown) as failure:
        return type(failure).__name__


def main() -> None:
    settings.configure(AWF_FAILPOINTS="")
    for command in WHOLE_WORLD:
        subprocess.run(command.split(), check=True)
    from actions.transport import sending
    from tests.actions.test_transport_tls import new_authority

    authority = new_authority()
    sending.trust_store = authority.trust  # type: ignore[assignment]
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in NAMES]
    names += [x509.IPAddress(ip_address(address)) for address in ADDRESSES]
    with tempfile.TemporaryDirectory() as directory:
        canary = Canary(authority.serve(names, Path(directory), days=1))
    canary.listen()
    report = []
    for case in json.load(sys.stdin):
        before = len(canary.hits)
        ended = outcome(case["url"], resolves_to=case["resolves_to"])
        report.append({**case, "ended": ended, "hits": canary.hits[before:]})
    print(json.dumps(report))


if __name__ == "__main__":
    main()
