from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actions.transport import (
    Answer,
    Refused,
    send,
)
from tests.support.outgoing import LOOPBACK, NOBODY, StubResolver, request
from tests.support.receiver import Receiver, Reply


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def test_it_sends_the_request_and_keeps_what_matters_of_the_answer(receiver: Receiver) -> None:
    receiver.answer(
        "/hook",
        Reply(
            status=503,
            headers={"Retry-After": "7", "Content-Type": "text/plain", "Set-Cookie": "a=b"},
            body=b"later",
        ),
    )
    answer = send(
        request(receiver.url("/hook?a=%20b"), headers={"Idempotency-Key": "act_1"}),
        allow_cidrs=LOOPBACK,
    )
    assert answer == Answer(
        status=503,
        headers={"retry-after": "7", "content-type": "text/plain"},
        excerpt="later",
        body=b"later",
        latency_ms=answer.latency_ms,
    )
    assert 0 <= answer.latency_ms < 3000
    (received,) = receiver.requests
    assert (received.method, received.path, received.body) == ("POST", "/hook?a=%20b", b"{}")
    assert received.headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "accept-encoding": "identity",
        "connection": "close",
        "idempotency-key": "act_1",
        "content-length": "2",
    }


def test_the_name_travels_in_the_host_header_while_the_address_is_pinned(
    receiver: Receiver,
) -> None:
    url = f"http://Bücher.example:{receiver.port}/ü?q=é"
    send(request(url), allow_cidrs=LOOPBACK, resolver=StubResolver([["127.0.0.1"]]))
    (received,) = receiver.requests
    assert received.headers["host"] == f"xn--bcher-kva.example:{receiver.port}"
    assert received.path == "/%C3%BC?q=%C3%A9"


def test_a_get_has_no_body(receiver: Receiver) -> None:
    send(request(receiver.url(), method="GET", body=b""), allow_cidrs=LOOPBACK)
    (received,) = receiver.requests
    assert received.method == "GET"
    assert "content-length" not in received.headers


def test_callers_cannot_change_how_the_message_is_framed(receiver: Receiver) -> None:
    smuggling = {"Host": "other", "Content-Length": "0", "Transfer-Encoding": "chunked"}
    send(request(receiver.url(), headers=smuggling), allow_cidrs=LOOPBACK)
    (received,) = receiver.requests
    assert received.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert received.headers["content-length"] == "2"
    assert "transfer-encoding" not in received.headers


@pytest.mark.parametrize("header", [{"X-A": "b\r\nX-C: d"}, {"X A": "b"}, {"X-É": "b"}])
def test_a_header_that_http_does_not_allow_is_refused(
    header: dict[str, str], receiver: Receiver
) -> None:
    with pytest.raises(Refused, match="header"):
        send(request(receiver.url(), headers=header), allow_cidrs=LOOPBACK)
    assert receiver.requests == []


def test_proxies_and_netrc_of_the_environment_are_ignored(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Receiver() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.url())
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login alice password hunter2\n")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        send(request(receiver.url()), allow_cidrs=LOOPBACK)
        assert proxy.requests == []
    assert "authorization" not in receiver.requests[0].headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_answers_and_are_not_followed(status: int, receiver: Receiver) -> None:
    with Receiver() as canary:
        receiver.answer("/hook", Reply(status=status, headers={"Location": canary.url("/")}))
        signed = request(receiver.url("/hook"), headers={"webhook-signature": "v1,c2VjcmV0"})
        assert send(signed, allow_cidrs=LOOPBACK).status == status
        # Neither the request nor its signature went on.
        assert canary.requests == []


def test_every_call_has_a_connection_of_its_own(receiver: Receiver) -> None:
    for _ in range(2):
        send(request(receiver.url()), allow_cidrs=LOOPBACK)
    with pytest.raises(Refused):  # a connection opened for one tenant serves no other
        send(request(receiver.url()), allow_cidrs=NOBODY)
    assert len(receiver.requests) == 2


def test_cookies_of_one_answer_are_not_sent_with_the_next_call(receiver: Receiver) -> None:
    receiver.answer("/", Reply(headers={"Set-Cookie": "session=1"}))
    for _ in range(2):
        send(request(receiver.url()), allow_cidrs=LOOPBACK)
    assert all("cookie" not in received.headers for received in receiver.requests)


@pytest.mark.parametrize(
    "changes",
    [
        {"deadline_seconds": 10.1},
        {"deadline_seconds": 0},
        {"max_answer_bytes": 65_537},
        {"method": "CONNECT"},
    ],
)
def test_a_request_cannot_ask_for_more_than_one_call_may_have(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"method|deadline|answer"):
        request("https://example.com/", **changes)
