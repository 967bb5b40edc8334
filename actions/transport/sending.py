"""The only place that sends one outgoing request and says what is known of its outcome."""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import certifi
import httpcore

from actions.transport import answers
from actions.transport.addresses import (
    IPAddress,
    IPNetwork,
    NotSent,
    Refused,
    Resolver,
    Target,
    ask_system,
    inspect,
    judge,
    look_up,
)
from actions.transport.wire import AnswerTooLong, Deadline, Dialer, Exchange

MAX_DEADLINE_SECONDS = 10.0  # a worker waits no longer for one vendor
MAX_ANSWER_BYTES = 65_536
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
# Ours to set: they frame the message, name the host that was checked, or ask for
# an answer that can be read as it comes.
OWN_HEADERS = frozenset(
    {"connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding"}
    | {"accept-encoding", "host", "proxy-authorization", "proxy-connection", "upgrade"}
)


class OutcomeUnknown(Exception):
    """The request, or a part of it, left; whether it was carried out nobody here knows."""


@dataclass(frozen=True, kw_only=True)
class OutgoingRequest:
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    deadline_seconds: float = MAX_DEADLINE_SECONDS  # DNS, connect, TLS, write and read together
    max_answer_bytes: int = MAX_ANSWER_BYTES  # head and body, as they come

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method {self.method!r}")
        if not 0 < self.deadline_seconds <= MAX_DEADLINE_SECONDS:
            raise ValueError(f"deadline of {self.deadline_seconds} seconds")
        if not 0 < self.max_answer_bytes <= MAX_ANSWER_BYTES:
            raise ValueError(f"an answer of {self.max_answer_bytes} bytes")


def send(
    request: OutgoingRequest,
    *,
    allow_cidrs: Sequence[IPNetwork],
    resolver: Resolver = ask_system,
) -> answers.Answer:
    """One attempt. Any status is an answer: redirects are never followed.

    Raises Refused, NotSent or OutcomeUnknown, each with a message for the tenant.
    """
    exchange = Exchange(Deadline(request.deadline_seconds), request.max_answer_bytes)
    target = inspect(request.url, allow_cidrs=allow_cidrs)
    addresses = look_up(target, resolver=resolver, timeout=exchange.deadline.remaining_seconds())
    judge(target, addresses, allow_cidrs=allow_cidrs)
    try:
        return _call(request, target, addresses, exchange)
    except (OSError, httpcore.ProtocolError, AnswerTooLong) as failure:
        raise _outcome(failure, target, exchange) from failure


@cache
def trust_store() -> ssl.SSLContext:
    # certifi's list, not the machine's: a call means the same on every host.
    return ssl.create_default_context(cafile=certifi.where())


def _call(
    request: OutgoingRequest, target: Target, addresses: Sequence[IPAddress], exchange: Exchange
) -> answers.Answer:
    url = httpcore.URL(
        scheme=target.scheme.encode(),
        host=target.host.encode(),
        port=target.port,
        target=target.path.encode(),
    )
    # One connection for one call: nothing is shared between two tenants.
    with (
        httpcore.HTTPConnection(
            origin=url.origin,
            ssl_context=trust_store(),
            network_backend=Dialer(addresses, exchange),
        ) as connection,
        connection.stream(
            request.method,
            url,
            headers=_wire_headers(request, target),
            content=request.body or (None if request.method in {"GET", "HEAD"} else b""),
        ) as response,
    ):
        secrets = answers.secrets_in(request.headers)
        body = _read_body(response)
        return answers.Answer(
            status=response.status,
            headers=answers.kept_headers(response.headers, secrets=secrets),
            excerpt=answers.excerpt(body, secrets=secrets),
            body=body,
            latency_ms=round(exchange.deadline.elapsed_seconds() * 1000),
        )


def _wire_headers(request: OutgoingRequest, target: Target) -> list[tuple[bytes, bytes]]:
    own = {"Host": target.authority, "Accept-Encoding": "identity", "Connection": "close"}
    given = {k: v for k, v in request.headers.items() if k.lower() not in OWN_HEADERS}
    return [(name.encode(), value.encode()) for name, value in (own | given).items()]


def _read_body(response: httpcore.Response) -> bytes:
    """As it came, never decompressed: a small answer cannot unpack into a large one."""
    body = bytearray()
    try:
        for piece in response.iter_stream():
            body += piece
    except AnswerTooLong:
        pass  # the status is known, and nobody reads an excerpt that long
    return bytes(body)


def _outcome(failure: Exception, target: Target, exchange: Exchange) -> Exception:
    if isinstance(failure, httpcore.LocalProtocolError) and not exchange.has_left:
        return Refused("The request has a header that HTTP does not allow.")
    if exchange.has_left:
        return OutcomeUnknown(f"{target.host} {_what_broke(failure)} after the request was sent.")
    if isinstance(failure, ssl.SSLError):
        return NotSent(f"No secure connection to {target.host}: {_reason(failure)}.")
    if isinstance(failure, TimeoutError):
        return NotSent(f"{target.host} could not be reached in time.")
    return NotSent(f"{target.host} refused the connection or could not be reached.")


def _what_broke(failure: Exception) -> str:
    if isinstance(failure, TimeoutError):
        return "did not answer in time"
    if isinstance(failure, httpcore.ProtocolError | AnswerTooLong):
        return "gave no readable answer"
    return "broke the connection"


def _reason(failure: ssl.SSLError) -> str:
    if isinstance(failure, ssl.SSLCertVerificationError):
        return failure.verify_message.rstrip(".")
    return "the TLS handshake failed"
