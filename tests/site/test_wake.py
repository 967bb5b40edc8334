"""Idle workers are woken by few messages over one connection, which finds Redis again."""

from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest
from django_redis import get_redis_connection

from awfdrs_site.lib import wake

QUEUE = "of-this-test"


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The tests' own; messages leave when the test says so."""
    monkeypatch.setattr(wake, "_ensure_thread", lambda: None)
    # A thread that an earlier test started hears of nothing.
    monkeypatch.setattr(wake, "_is_wanted", Event())
    monkeypatch.setattr(wake, "_wanted", {})
    client = get_redis_connection("default")
    client.delete(QUEUE)
    yield client
    client.delete(QUEUE)
    wake._leave()


def test_what_many_commits_ask_for_is_one_message(redis: Any) -> None:
    for _ in range(1000):
        wake.wake("incidents.tasks.digest_events", queue=QUEUE)
    wake.wake("actions.tasks.plan_decisions", queue=QUEUE)
    wake.send_wanted()
    wake.send_wanted()
    assert redis.llen(QUEUE) == 2


def test_one_connection_is_kept_and_found_again_when_redis_was_restarted(redis: Any) -> None:
    def woken() -> int:
        wake.wake("incidents.tasks.digest_events", queue=QUEUE)
        wake.send_wanted()
        return int(redis.llen(QUEUE))

    assert woken() == 1
    before = redis.info("stats")["total_connections_received"]
    assert [woken() for _ in range(5)] == [2, 3, 4, 5, 6]
    # no connection for each message
    assert redis.info("stats")["total_connections_received"] == before
    redis.flushall()
    redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert woken() == 1
