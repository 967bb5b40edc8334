"""The rate limit of a key: what many at once are let in, what the answer says, and what happens without Redis."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from pytest_django.fixtures import Settings

from events import rate
from events.rate import Bucket, Limit, Taken
from tests.threads import at_once

FIVE_IN_TEN_SECONDS = Limit(0.5, 5)
LARGE = Limit(1000, 2000)


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    rate.forget()
    yield
    rate.forget()


def test_a_burst_comes_in_and_then_as_much_as_time_gives() -> None:
    key = uuid4()
    answers = [rate.take(key, FIVE_IN_TEN_SECONDS) for _ in range(6)]
    assert [one.is_allowed for one in answers] == [True] * 5 + [False]
    assert [one.left for one in answers] == [4, 3, 2, 1, 0, 0]
    # one comes every two seconds
    assert 1 < answers[5].seconds <= 2


def test_the_answer_names_the_limit_and_what_is_left() -> None:
    assert rate.take(uuid4(), FIVE_IN_TEN_SECONDS).headers == {
        "RateLimit-Policy": '"default";q=5;w=10',
        "RateLimit": '"default";r=4;t=2',
    }


def test_keys_have_limits_of_their_own() -> None:
    first, second = uuid4(), uuid4()
    assert rate.take(first, FIVE_IN_TEN_SECONDS, n=5).is_allowed
    assert not rate.take(first, FIVE_IN_TEN_SECONDS).is_allowed
    assert rate.take(second, FIVE_IN_TEN_SECONDS).is_allowed


def test_a_batch_comes_in_whole_or_not_at_all() -> None:
    key = uuid4()
    assert rate.take(key, FIVE_IN_TEN_SECONDS, n=3).is_allowed
    assert not rate.take(key, FIVE_IN_TEN_SECONDS, n=3).is_allowed
    # what was refused spent nothing
    assert rate.take(key, FIVE_IN_TEN_SECONDS, n=2).is_allowed


def as_another_process(key: str, limit: Limit) -> Taken:
    """A bucket of its own shares nothing but Redis."""
    return Bucket(key, limit).lease(1)


def test_fifty_processes_admit_the_limit() -> None:
    limit, key = Limit(0.01, 100), str(uuid4())
    answers = at_once(50, lambda _: [as_another_process(key, limit) for _ in range(4)])
    # M5: ± 1
    assert abs(sum(one.is_allowed for some in answers for one in some) - 100) <= 1


def test_a_large_limit_is_leased_in_blocks_of_a_hundredth() -> None:
    assert (LARGE.block, Limit(16, 2000).block, Limit(1000, 50).block) == (20, 1, 1)
    key = uuid4()
    bucket = rate.bucket_of(key, LARGE)
    assert rate.take(key, LARGE).is_allowed
    # nineteen more are spent without a word to Redis
    assert [bucket.spend(1) is not None for _ in range(20)] == [True] * 19 + [False]
    assert rate.take(key, LARGE, n=150).is_allowed


def test_what_processes_lease_adds_up_to_the_limit() -> None:
    limit, n_processes = Limit(20, 400), 8  # blocks of 4
    buckets = _processes(limit, n_processes)
    began = time.monotonic()
    let_in = sum(
        (bucket.spend(1) or bucket.lease(1)).is_allowed for _ in range(60) for bucket in buckets
    )
    grown = (time.monotonic() - began) * limit.rate
    # M5: ± block × processes
    assert abs(let_in - 400) <= n_processes * limit.block + grown


def _processes(limit: Limit, n: int) -> list[Bucket]:
    key = str(uuid4())
    return [Bucket(key, limit) for _ in range(n)]


def test_what_is_refused_by_no_limit_of_its_own_has_the_installations(settings: Settings) -> None:
    settings.INGEST_RATE_PER_KEY, settings.INGEST_BURST_PER_KEY = 7, 9
    assert rate.limit_of(None, None) == Limit(7, 9)
    assert rate.limit_of(1.5, 4) == Limit(1.5, 4)


def test_without_redis_the_process_limits_alone(settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    key = uuid4()
    answers = [rate.take(key, FIVE_IN_TEN_SECONDS) for _ in range(6)]
    assert [one.is_allowed for one in answers] == [True] * 5 + [False]
    assert [one.left for one in answers] == [4, 3, 2, 1, 0, 0]


@contextmanager
def silent_server() -> Iterator[tuple[int, list[socket.socket]]]:
    """Takes connections and never says a word, as a stopped Redis does; and who has connected."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        came: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    came.append(listening.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1], came


def test_a_redis_that_hangs_is_asked_once_and_then_left_alone(settings: Settings) -> None:
    # its deadlines together stay below the 250 ms of M5
    assert rate.CONNECT_SECONDS + rate.ANSWER_SECONDS < 0.25
    with silent_server() as (port, came):
        settings.REDIS_URL = f"redis://127.0.0.1:{port}/0"
        key = uuid4()
        assert [rate.take(key, FIVE_IN_TEN_SECONDS).is_allowed for _ in range(6)] == [True] * 5 + [
            False
        ]
        assert len(came) == 1


def test_redis_is_used_again_once_it_is_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = settings.REDIS_URL
    monkeypatch.setattr(rate, "APART_SECONDS", 0.0)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    key = uuid4()
    assert rate.take(key, FIVE_IN_TEN_SECONDS, n=5).is_allowed
    settings.REDIS_URL = there
    monkeypatch.setattr(rate, "_client", None)
    # its own bucket is empty, that of Redis is not
    assert rate.take(key, FIVE_IN_TEN_SECONDS).is_allowed
    assert rate._away_until == 0
