from collections.abc import Iterator

import pytest

from actions.transport import answers, send
from tests.support.outgoing import LOOPBACK, request
from tests.support.receiver import Receiver, Reply


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def test_the_excerpt_is_plain_text_of_at_most_four_kilobytes(receiver: Receiver) -> None:
    receiver.answer(
        "/", Reply(body="a\0b\x1b[31m\u202ec\r\nd\t\xff\udcff".encode("utf-8", "replace"))
    )
    assert send(request(receiver.url()), allow_cidrs=LOOPBACK).excerpt == "ab[31mc\nd\tÿ?"
    receiver.answer("/", Reply(body=b"\xff\xfe" + "é".encode() * 5000))
    excerpt = send(request(receiver.url()), allow_cidrs=LOOPBACK).excerpt
    assert excerpt.startswith("\ufffd\ufffdéé")
    assert len(excerpt.encode()) == 4096


def test_our_own_secrets_are_redacted_when_the_answer_echoes_them(receiver: Receiver) -> None:
    sent = {
        "Authorization": "Bearer tok-12345678",
        "X-Api-Key": "key-12345678",
        "webhook-signature": "v1,c2lnbmF0dXJlMQ== v1,c2lnbmF0dXJlMg==",
        "Idempotency-Key": "act_12345678",
    }
    receiver.answer("/", lambda got: Reply(body=repr(dict(got.headers)).encode()))
    echoed = send(request(receiver.url(), headers=sent), allow_cidrs=LOOPBACK).excerpt
    for secret in ("tok-12345678", "key-12345678", "c2lnbmF0dXJlMQ", "c2lnbmF0dXJlMg"):
        assert secret not in echoed
    # What people look for in the attempt log stays.
    assert "act_12345678" in echoed


def test_a_secret_is_redacted_from_kept_headers_and_across_the_cut(receiver: Receiver) -> None:
    sent = {"Authorization": "Bearer tok-12345678"}
    body = b"a" * 4090 + b"tok-12345678"
    receiver.answer("/", Reply(headers={"Content-Type": "tok-12345678"}, body=body))
    answer = send(request(receiver.url(), headers=sent), allow_cidrs=LOOPBACK)
    assert answer.headers["content-type"] == "[redacted]"
    assert answer.excerpt == "a" * 4090 + "[redac"


@pytest.mark.parametrize(
    "echo",
    ["whsec_abcd+/==", "Authorization: Basic YWxpY2U6aHVudGVyMg==", "bearer eyJhbGciOi.eyJzdWIi"],
)
def test_what_looks_like_a_secret_is_redacted_too(echo: str, receiver: Receiver) -> None:
    receiver.answer("/", Reply(body=echo.encode()))
    excerpt = send(request(receiver.url()), allow_cidrs=LOOPBACK).excerpt
    assert excerpt.endswith("[redacted]")
    assert echo[-8:] not in excerpt


def test_words_about_secrets_stay_readable(receiver: Receiver) -> None:
    body = b"bearer token expired, basic authentication failed"
    receiver.answer("/", Reply(body=body))
    assert send(request(receiver.url()), allow_cidrs=LOOPBACK).excerpt == body.decode()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b'{"a":' * 60_000,
        b'{"id": "\\u0000"}',
        b'{"id": "\\ud800"}',
        b'{"id": ' + b"9" * 5000 + b"}",
        b"\xff",
        b"",
        b"[1]",
    ],
)
def test_an_answer_that_cannot_be_kept_names_nothing(body: bytes) -> None:
    assert answers.named_in(body) == {}
    # the control
    assert answers.named_in(b'{"id": "T-7"}') == {"id": "T-7"}
