"""A late request is given up only while the database hangs, and is answered once."""

import asyncio
from typing import Any

import pytest

from awfdrs_site import deadline, health
from awfdrs_site.deadline import Deadline
from awfdrs_site.health import Probe

Sent = list[Any]


async def nothing() -> dict[str, Any]:
    return {"type": "http.disconnect"}


def scope(accept: str = "application/json") -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": "/incidents",
        "query_string": b"",
        "headers": [(b"accept", accept.encode()), (b"x-correlation-id", b"corr-7")],
    }


async def answered(
    monkeypatch: pytest.MonkeyPatch, *, hangs: bool, accept: str = "application/json"
) -> tuple[Sent, asyncio.Event]:
    """What was sent for a request that takes longer than its time."""
    is_over, sent = asyncio.Event(), []

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await is_over.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    async def database_answers() -> bool:
        if not hangs:
            is_over.set()
        return not hangs

    monkeypatch.setattr(deadline, "LATE_SECONDS", 0.01)
    monkeypatch.setattr(deadline, "database_answers", database_answers)
    await Deadline(late)(scope(accept), nothing, send)
    return sent, is_over


async def test_a_hung_database_is_answered_503(monkeypatch: pytest.MonkeyPatch) -> None:
    (start, body), _ = await answered(monkeypatch, hangs=True)
    headers = dict(start["headers"])
    assert (start["status"], headers[b"retry-after"]) == (503, b"1")
    assert headers[b"content-type"] == b"application/problem+json"
    assert b'"correlation_id": "corr-7"' in body["body"]


async def test_people_get_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    (start, body), _ = await answered(monkeypatch, hangs=True, accept="text/html")
    assert dict(start["headers"])[b"content-type"].startswith(b"text/html")
    assert b"cannot answer right now" in body["body"]


async def test_slow_work_goes_on_while_thedatabase_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent, _ = await answered(monkeypatch, hangs=False)
    assert [message["status"] for message in sent] == [200]


async def test_a_broken_database_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ConnectionError

    monkeypatch.setattr(health, "database", Probe(broken))
    assert not await deadline.database_answers()
    monkeypatch.setattr(health, "database", Probe(lambda: 1))
    assert await deadline.database_answers()
