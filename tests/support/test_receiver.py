import json
import socket
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest

from tests.support.receiver import Received, Receiver, Reply


def test_it_records_what_came_in_order() -> None:
    with Receiver() as receiver:
        first = httpx.post(receiver.url("/a?b=c"), content=b"one", headers={"X-Attempt": "1"})
        httpx.get(receiver.url("/d"))
    assert first.status_code == 200
    one, two = receiver.requests
    assert (one.method, one.path, one.body, one.peer) == ("POST", "/a?b=c", b"one", "127.0.0.1")
    assert one.headers["x-attempt"] == "1"
    assert (two.method, two.path, two.body) == ("GET", "/d", b"")
    assert one.at < two.at


def test_answers_are_programmed_by_path_and_may_look_at_the_request() -> None:
    def echo(received: Received) -> Reply:
        return Reply(status=201, body=received.body)

    with Receiver({"/busy": Reply(status=503, headers={"Retry-After": "3"})}) as receiver:
        receiver.answer("/echo", echo)
        busy = httpx.post(receiver.url("/busy?x=1"))
        echoed = httpx.post(receiver.url("/echo"), content=b"back")
    assert (busy.status_code, busy.headers["Retry-After"]) == (503, "3")
    assert (echoed.status_code, echoed.content) == (201, b"back")


def test_it_answers_in_pieces_or_hangs_up() -> None:
    with Receiver({"/gone": Reply(hangs_up=True)}) as receiver:
        receiver.answer("/pieces", Reply(body=[b"a", b"b"]))
        assert httpx.get(receiver.url("/pieces")).content == b"ab"
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(receiver.url("/gone"))


def test_it_holds_an_answer_until_it_is_told() -> None:
    told = Event()
    statuses: list[int] = []
    with Receiver({"/": Reply(status=202, after=told)}) as receiver:
        caller = Thread(target=lambda: statuses.append(httpx.get(receiver.url()).status_code))
        caller.start()
        receiver.wait_for(1)
        assert statuses == []
        told.set()
        caller.join(5)
    assert statuses == [202]


def test_waiting_for_a_request_that_does_not_come_fails() -> None:
    with Receiver() as receiver, pytest.raises(TimeoutError, match="0 of 1"):
        receiver.wait_for(1, seconds=0.01)


def test_the_ledger_on_disk_is_written_before_the_answer(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.ndjson"
    with Receiver({"/": Reply(hangs_up=True)}, ledger=ledger) as receiver:
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.post(receiver.url(), content=b"one", headers={"Idempotency-Key": "act_1"})
        (line,) = ledger.read_text().splitlines()
    row = json.loads(line)
    assert (row["method"], row["path"], row["body"]) == ("POST", "/", "one")
    assert row["headers"]["idempotency-key"] == "act_1"


def test_nothing_listens_after_it_is_closed() -> None:
    with Receiver() as receiver:
        port = receiver.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
