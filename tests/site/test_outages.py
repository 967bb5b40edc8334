"""What the frame says of outages: looked up at most every few seconds, and never waited for."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator

from awfdrs_site import health
from awfdrs_site.consumers import FeedConsumer
from awfdrs_site.health import Probe
from awfdrs_site.lib import metrics
from awfdrs_site.lib.epoch import Epoch
from awfdrs_site.outages import Outages, Watch

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def broken() -> None:
    raise ConnectionError


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("awfdrs_site.outages.redis", Watch("cache"))
    monkeypatch.setattr("awfdrs_site.outages.pipeline", Watch("pipeline"))


def test_redis_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "cache", Probe(lambda: True))
    assert not Outages().redis_away
    monkeypatch.setattr("awfdrs_site.outages.redis", Watch("cache"))
    monkeypatch.setattr(health, "cache", Probe(broken))
    assert Outages().redis_away


def test_a_hung_redis_is_away_and_holds_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(health, "cache", Probe(lambda: over.wait(20)))
    assert Outages().redis_away
    over.set()


def test_one_question_serves_many_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(health, "cache", Probe(lambda: asked.append(1)))
    assert not any(Outages().redis_away for _ in range(20))
    assert len(asked) == 1


@pytest.mark.parametrize(("waits_seconds", "is_said"), [(None, False), (59, False), (61, True)])
def test_processing_is_delayed_after_a_minute(
    monkeypatch: pytest.MonkeyPatch, waits_seconds: int | None, is_said: bool
) -> None:
    since = NOW - timedelta(seconds=waits_seconds) if waits_seconds else None
    monkeypatch.setattr(health, "pipeline", Probe(lambda: (since, None, None, NOW)))
    assert Outages().delayed_since == (since if is_said else None)


def test_what_cannot_be_asked_is_not_said_to_be_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "pipeline", Probe(broken))
    assert Outages().delayed_since is None


class Keeper:
    """SET NX GET as Redis does it."""

    kept: bytes | None = None

    def set(self, _: str, fresh: bytes, **options: Any) -> bytes | None:
        before, self.kept = self.kept, self.kept or fresh
        return before


def test_a_redis_that_came_back_empty_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    monkeypatch.setattr(metrics.REDIS_EPOCHS, "inc", lambda: counted.append(1))
    keeper, one, other = Keeper(), Epoch(), Epoch()
    for epoch in (one, other, one):
        epoch.look(keeper)
    assert counted == []
    keeper.kept = None
    for epoch in (other, one, other):
        epoch.look(keeper)
    assert counted == [1]


async def test_without_redis_a_feed_is_refused_and_told_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "cache", Probe(broken))
    socket = WebsocketCommunicator(FeedConsumer.as_asgi(), "/ws/feed")
    is_let_in, _ = await socket.connect()
    message = await socket.receive_output(timeout=5)
    assert (is_let_in, message["type"], message["code"]) == (True, "websocket.close", 1013)
