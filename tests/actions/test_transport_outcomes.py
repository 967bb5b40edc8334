import gzip
import socket
from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from threading import Event
from time import monotonic

import pytest

from actions.transport import (
    NotSent,
    OutcomeUnknown,
    send,
    wire,
)
from tests.support.outgoing import (
    LOOPBACK,
    NOBODY,
    StubResolver,
    answering,
    raw_server,
    read_request,
    request,
)
from tests.support.receiver import Receiver, Reply

PUBLIC = "93.184.216.34"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def test_nothing_was_sent_when_the_connection_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NotSent, match="refused the connection"):
        send(request(f"http://127.0.0.1:{port}/"), allow_cidrs=LOOPBACK)


def test_nothing_was_sent_when_the_name_does_not_resolve() -> None:
    def fail(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(NotSent, match=r"example\.com could not be resolved"):
        send(request("https://example.com/"), allow_cidrs=NOBODY, resolver=fail)


def test_nothing_was_sent_when_the_name_has_no_address() -> None:
    with pytest.raises(NotSent, match="no address"):
        send(request("https://example.com/"), allow_cidrs=NOBODY, resolver=StubResolver([[]]))


def test_a_hanging_resolver_ends_with_the_deadline() -> None:
    over = Event()

    def hang(host: str, port: int) -> Sequence[str]:
        over.wait(5)
        return [PUBLIC]

    started = monotonic()
    with pytest.raises(NotSent, match="could not be resolved"):
        send(
            request("https://example.com/", deadline_seconds=0.2),
            allow_cidrs=NOBODY,
            resolver=hang,
        )
    assert monotonic() - started < 1
    over.set()


def test_a_mistake_in_a_resolver_is_not_taken_for_a_failed_lookup() -> None:
    def broken(host: str, port: int) -> Sequence[str]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        send(request("https://example.com/"), allow_cidrs=NOBODY, resolver=broken)


def test_the_next_address_is_tried_when_the_first_does_not_connect(receiver: Receiver) -> None:
    both = (ip_network("127.0.0.0/8"),)
    resolver = StubResolver([["127.0.0.9", "127.0.0.1"]])
    url = f"http://workflow.example:{receiver.port}/"
    assert send(request(url), allow_cidrs=both, resolver=resolver).status == 200


def test_the_outcome_is_unknown_when_the_server_hangs_up_after_reading(receiver: Receiver) -> None:
    receiver.answer("/", Reply(hangs_up=True))
    with pytest.raises(OutcomeUnknown, match="after the request was sent"):
        send(request(receiver.url()), allow_cidrs=LOOPBACK)
    assert len(receiver.requests) == 1


def test_the_outcome_is_unknown_when_the_server_resets_the_connection() -> None:
    def reset(connection: socket.socket, over: Event) -> None:
        connection.recv(1)  # unread bytes remain, so that closing resets
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with (
        raw_server(reset) as port,
        pytest.raises(OutcomeUnknown, match=r"broke the connection|gave no readable answer"),
    ):
        send(request(f"http://127.0.0.1:{port}/"), allow_cidrs=LOOPBACK)


def test_the_outcome_is_unknown_when_the_answer_does_not_come(receiver: Receiver) -> None:
    receiver.answer("/", Reply(after=Event()))
    started = monotonic()
    with pytest.raises(OutcomeUnknown, match="did not answer in time"):
        send(request(receiver.url(), deadline_seconds=0.3), allow_cidrs=LOOPBACK)
    assert 0.2 < monotonic() - started < 1


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"],
    ids=["in the head", "in the body"],
)
def test_a_dripping_answer_ends_with_the_deadline(head: bytes) -> None:
    def drip(connection: socket.socket, over: Event) -> None:
        read_request(connection)
        connection.sendall(head)
        while not over.wait(0.05):
            connection.sendall(b"x")

    started = monotonic()
    with (
        raw_server(drip) as port,
        pytest.raises(OutcomeUnknown, match="did not answer in time"),
    ):
        send(request(f"http://127.0.0.1:{port}/", deadline_seconds=0.4), allow_cidrs=LOOPBACK)
    assert monotonic() - started < 1


def test_a_server_that_reads_slowly_cannot_hold_the_call() -> None:
    def sip(connection: socket.socket, over: Event) -> None:
        while not over.wait(0.05):
            connection.recv(1024)

    body = b"x" * 20_000_000  # more than both socket buffers hold
    started = monotonic()
    with raw_server(sip) as port, pytest.raises(OutcomeUnknown, match="in time"):
        send(
            request(f"http://127.0.0.1:{port}/", body=body, deadline_seconds=0.4),
            allow_cidrs=LOOPBACK,
        )
    assert monotonic() - started < 1.5


def test_an_answer_given_before_the_request_was_read_counts() -> None:
    def refuse_early(connection: socket.socket, over: Event) -> None:
        connection.recv(1024)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    with raw_server(refuse_early) as port:
        big = request(f"http://127.0.0.1:{port}/", body=b"x" * 3_000_000)
        assert send(big, allow_cidrs=LOOPBACK).status == 413


def test_an_answer_counts_even_when_the_rest_of_the_request_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
    theirs.shutdown(socket.SHUT_RD)  # from here on our writes fail, and the answer is waiting
    monkeypatch.setattr(wire, "dial", lambda *_, **__: ours)
    with theirs:
        assert send(request("http://127.0.0.1/"), allow_cidrs=LOOPBACK).status == 401


def test_an_endless_answer_is_read_up_to_the_limit() -> None:
    n_sent = [0]

    def pour(connection: socket.socket, over: Event) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not over.is_set():
            connection.sendall(b"1000\r\n" + b"y" * 4096 + b"\r\n")
            n_sent[0] += 1

    with raw_server(pour) as port:
        answer = send(request(f"http://127.0.0.1:{port}/"), allow_cidrs=LOOPBACK)
    assert answer.status == 200
    assert answer.excerpt == "y" * 4096


def test_no_more_than_the_limit_is_taken_off_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    read = wire.Wire.read

    def counting(self: wire.Wire, max_bytes: int, timeout: float | None = None) -> bytes:
        received = read(self, max_bytes, timeout)
        left.append(len(received))
        return received

    monkeypatch.setattr(wire.Wire, "read", counting)
    huge = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"z" * 1_000_000
    with raw_server(answering(huge)) as port:
        send(
            request(f"http://127.0.0.1:{port}/", max_answer_bytes=1000),
            allow_cidrs=LOOPBACK,
        )
    assert sum(left) == 1000


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 1_000_000,
        b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 100_000,
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100_000,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"",
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_an_unreadable_answer_leaves_the_outcome_unknown(raw: bytes) -> None:
    with (
        raw_server(answering(raw)) as port,
        pytest.raises(OutcomeUnknown, match=r"no readable answer|broke the connection"),
    ):
        send(request(f"http://127.0.0.1:{port}/"), allow_cidrs=LOOPBACK)


def test_a_compressed_answer_is_never_unpacked(receiver: Receiver) -> None:
    bomb = gzip.compress(b"\0" * 20_000_000)
    assert len(bomb) < 65_536
    receiver.answer("/", Reply(headers={"Content-Encoding": "gzip"}, body=bomb))
    answer = send(request(receiver.url()), allow_cidrs=LOOPBACK)
    assert answer.status == 200
    assert len(answer.excerpt.encode()) <= 4096
