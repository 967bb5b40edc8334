"""Bodies are refused by what they announce, before they are read, and by what comes without announcement."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from awfdrs_site.asgi import BodyLimit, limit_of
from awfdrs_site.lib.bodies import BATCH_BYTES, EVENT_BYTES

EVENTS = "/api/v1/events"


class Exchange:
    """One request to an application that reads its whole body and answers 200."""

    def __init__(self, path: str, chunks: Iterable[bytes], **headers: str) -> None:
        self.chunks = list(chunks)
        self.read = 0
        self.sent: list[Any] = []
        self.scope = {
            "type": "http",
            "path": path,
            "headers": [(name.encode(), text.encode()) for name, text in headers.items()],
        }

    async def run(self) -> "Exchange":
        await BodyLimit(self._inner)(self.scope, self._receive, self._send)
        return self

    async def _inner(self, _scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def _receive(self) -> dict[str, Any]:
        self.read += 1
        body = self.chunks.pop(0) if self.chunks else b""
        return {"type": "http.request", "body": body, "more_body": bool(self.chunks)}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def problem(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.sent[1]["body"])
        return body


async def test_an_announced_body_above_the_limit_is_never_read() -> None:
    asked = {"content-length": "900000000", "x-correlation-id": "mine-1"}
    refused = await Exchange(EVENTS, [b"{}"], **asked).run()
    assert (refused.status, refused.read) == (413, 0)
    headers = dict(refused.sent[0]["headers"])
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"x-correlation-id"] == b"mine-1"
    problem = refused.problem
    assert (problem["code"], problem["correlation_id"]) == ("too_large", "mine-1")


async def test_a_body_without_announcement_is_cut_off_at_the_limit() -> None:
    chunk = b"a" * 65_536
    refused = await Exchange(EVENTS, [chunk] * 100).run()
    assert refused.status == 413
    assert refused.read == EVENT_BYTES // len(chunk) + 1


async def test_a_body_of_exactly_the_limit_passes() -> None:
    passed = await Exchange(
        EVENTS, [b"a" * EVENT_BYTES], **{"content-length": str(EVENT_BYTES)}
    ).run()
    assert passed.status == 200


@pytest.mark.parametrize("path", ["/api/v1/events/batch", "/api/v1/events/batch/"])
def test_a_batch_may_be_larger(path: str) -> None:
    assert limit_of(path) == BATCH_BYTES
    assert limit_of(EVENTS) == EVENT_BYTES


async def test_a_correlation_id_of_strange_characters_is_replaced() -> None:
    asked = {"content-length": "900000000", "x-correlation-id": "<script>"}
    refused = await Exchange(EVENTS, [], **asked).run()
    assert "<" not in refused.problem["correlation_id"]
