"""The only place that opens sockets for outgoing calls: pinned, and ended by one deadline."""

import socket
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from time import monotonic

import httpcore

from actions.transport.addresses import IPAddress, Refused
from awfdrs_site.lib.failpoints import failpoint


class AnswerTooLong(Exception):
    """The other side sent as many bytes as one call reads."""


class Deadline:
    def __init__(self, seconds: float) -> None:
        self._started = monotonic()
        self._seconds = seconds

    def remaining_seconds(self) -> float:
        """More than 0, as a socket timeout must be. Raises TimeoutError when nothing remains."""
        remaining = self._seconds - self.elapsed_seconds()
        if remaining <= 0:
            raise TimeoutError
        return remaining

    def elapsed_seconds(self) -> float:
        return monotonic() - self._started


@dataclass
class Exchange:
    """What one call has used up so far."""

    deadline: Deadline
    readable_bytes: int  # head and body of the answer together
    has_left: bool = False  # the request may be on its way


class Dialer(httpcore.NetworkBackend):
    """Connects to addresses that were judged, whatever the name would resolve to now."""

    def __init__(self, addresses: Sequence[IPAddress], exchange: Exchange) -> None:
        self._addresses = addresses
        self._exchange = exchange

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        failure: OSError | None = None
        for n_before, address in enumerate(self._addresses):
            n_left = len(self._addresses) - n_before
            # A silent address gets its share of the time, so that the next one has a turn.
            share = self._exchange.deadline.remaining_seconds() / n_left
            try:
                return Wire(dial(address, port, timeout=share), self._exchange)
            except OSError as refusal:
                failure = refusal
        raise failure or OSError("no address")


class Wire(httpcore.NetworkStream):
    """One connection. Ignores httpcore's timeouts: they start anew with every byte."""

    def __init__(self, sock: socket.socket, exchange: Exchange) -> None:
        self._sock = sock
        self._exchange = exchange

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._exchange.readable_bytes <= 0:
            raise AnswerTooLong
        self._sock.settimeout(self._exchange.deadline.remaining_seconds())
        received = self._sock.recv(min(max_bytes, self._exchange.readable_bytes))
        self._exchange.readable_bytes -= len(received)
        return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        unsent = memoryview(buffer)
        while unsent:
            self._sock.settimeout(self._exchange.deadline.remaining_seconds())
            # Before the call: one that fails may have sent a part.
            self._exchange.has_left = True
            try:
                n_sent = self._sock.send(unsent)
            except TimeoutError:
                raise
            except OSError as failure:
                # httpcore then looks for an answer: servers refuse early and close.
                raise httpcore.WriteError(str(failure)) from failure
            unsent = unsent[n_sent:]
        # The head is written before the body: here, for the first time, a part of the request has left.
        failpoint("action.mid_send")

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        try:
            self._sock.settimeout(self._exchange.deadline.remaining_seconds())
            secured = ssl_context.wrap_socket(self._sock, server_hostname=server_hostname)
        except (OSError, ValueError):
            self.close()
            raise
        return Wire(secured, self._exchange)

    def close(self) -> None:
        self._sock.close()


def dial(address: IPAddress, port: int, *, timeout: float) -> socket.socket:
    is_v4 = isinstance(address, IPv4Address)
    sock = socket.socket(socket.AF_INET if is_v4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        sock.connect((str(address), port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The kernel reads some addresses as another one: 0.0.0.0 reaches this host.
        if ip_address(sock.getpeername()[0]) != address:
            raise Refused("The connection reached another address than the one checked.")
    except (OSError, Refused):
        sock.close()
        raise
    return sock
