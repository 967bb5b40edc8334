"""What consoles re-read by themselves waits before it takes a thread, and knows since when it must know everything."""

import asyncio
import time
from typing import Any

import pytest
from django.urls import reverse

from awfdrs_site import feed
from awfdrs_site.asgi import REREAD_PATH
from awfdrs_site.feed import Room
from awfdrs_site.lib import live
from awfdrs_site.turnstile import AT_ONCE, Turnstile
from tests.threads import PATIENCE_SECONDS

FACT = {"topic": "incident", "id": "1", "v": 1, "ev": "changed"}


class Inner:
    """Lets nobody go until it is told to."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.under_way = self.most = 0
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.wait_for(self.go_on.wait(), PATIENCE_SECONDS)
        self.under_way -= 1


def scope_of(path: str, query: str = "") -> dict[str, Any]:
    return {"type": "http", "path": path, "query_string": query.encode()}


async def asked(scope: dict[str, Any]) -> Any:
    """The scope that came through."""
    inner = Inner()
    inner.go_on.set()
    await Turnstile(inner, REREAD_PATH)(scope, None, None)  # type: ignore[arg-type]
    return inner.scopes[0]


def test_it_stands_before_what_lists_re_read() -> None:
    assert reverse("incidents:rows") == REREAD_PATH


async def test_few_come_in_at_a_time_and_everybody_comes_in() -> None:
    inner = Inner()
    turnstile = Turnstile(inner, REREAD_PATH)
    asking = [
        asyncio.create_task(turnstile(scope_of(REREAD_PATH), None, None))  # type: ignore[arg-type]
        for _ in range(AT_ONCE * 3)
    ]
    await asyncio.sleep(0)
    elsewhere = asyncio.create_task(turnstile(scope_of("/incidents/"), None, None))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert inner.under_way == AT_ONCE + 1  # who asks for anything else does not wait
    inner.go_on.set()
    await asyncio.gather(*asking, elsewhere)
    assert (len(inner.scopes), inner.most) == (AT_ONCE * 3 + 1, AT_ONCE + 1)


async def test_who_goes_away_while_waiting_leaves_the_turn_to_the_next() -> None:
    inner = Inner()
    turnstile = Turnstile(inner, REREAD_PATH)
    asking = [
        asyncio.create_task(turnstile(scope_of(REREAD_PATH), None, None))  # type: ignore[arg-type]
        for _ in range(AT_ONCE + 2)
    ]
    await asyncio.sleep(0)
    leaving, staying = (asking[0], asking[AT_ONCE]), (*asking[1:AT_ONCE], asking[-1])
    for task in leaving:
        task.cancel()
    ended = await asyncio.gather(*leaving, return_exceptions=True)
    assert [type(one) for one in ended] == [asyncio.CancelledError] * 2
    inner.go_on.set()
    await asyncio.gather(*staying)
    assert len(inner.scopes) == AT_ONCE + 1


async def test_who_asks_because_of_a_message_must_know_what_was_there_when_it_was_told() -> None:
    room = Room()
    room.begin()
    room.remember([FACT])
    told, first = room.past[-1].at, room.revision
    room.remember([FACT | {"id": "2"}])
    came = await asked(scope_of(REREAD_PATH, f"ids=1&rev={first}"))
    assert came[live.KNOWN_SINCE] == told


@pytest.mark.parametrize("revision", ["", "nobody.1", "nobody", "%F0"])
async def test_who_names_no_message_of_ours_must_know_everything_until_now(revision: str) -> None:
    before = time.monotonic()
    came = await asked(scope_of(REREAD_PATH, f"ids=1&rev={revision}"))
    assert before <= came[live.KNOWN_SINCE] <= time.monotonic()


async def test_a_message_of_before_a_gap_is_none_that_we_know() -> None:
    room = Room()
    room.begin()
    room.remember([FACT])
    old = room.revision
    room.begin()
    assert (feed.told_at(old), feed.told_at(room.revision)) == (None, None)
