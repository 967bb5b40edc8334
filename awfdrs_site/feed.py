"""The only place that hears facts from Redis: once for all consoles of this process, each message written once."""

import asyncio
import json
import logging
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID, uuid4
from weakref import WeakKeyDictionary, WeakValueDictionary

from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from awfdrs_site.lib import live

COALESCE_SECONDS = 0.15  # at most ~7 messages a second to each browser, however fast rows change
KEPT_FACTS = 500  # of a tenant; who missed more re-reads everything on screen
LINGER_SECONDS = 60.0  # a room stays open for who lost the line and comes back
PULSE_SECONDS = 1.0
LOST_PULSES = 3  # then the consoles are sent away, to poll until Redis speaks again
RESET = '{"reset": true}'

logger = logging.getLogger(__name__)


class Listener(Protocol):
    """An open console."""

    def hear(self, text: str) -> None: ...
    def hang_up(self) -> None: ...


@dataclass(frozen=True)
class Past:
    """A fact, and in which message and when it was told."""

    number: int
    at: float
    fact: dict[str, Any]


@dataclass
class Room:
    """The open consoles of a tenant, what waits to be told, and what was told lately."""

    listeners: set[Listener] = field(default_factory=set)
    waiting: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    past: deque[Past] = field(default_factory=lambda: deque(maxlen=KEPT_FACTS))
    flushing: asyncio.Task[None] | None = None
    epoch: str = ""
    number: int = 0
    heard_since: float = (
        0.0  # what was said before then, and what no longer fits, nobody here knows
    )
    known_above: int = 0
    left_at: float = 0.0
    told_at: float = 0.0

    @property
    def revision(self) -> str:
        return f"{self.epoch}.{self.number}"

    def begin(self) -> None:
        """From here on everything is heard; what came before may have been missed."""
        self.epoch, self.number, self.known_above = uuid4().hex[:8], 0, 0
        _by_epoch[self.epoch] = self
        self.heard_since = time.monotonic()
        self.past.clear()

    def remember(self, facts: list[dict[str, Any]]) -> None:
        self.number += 1
        now = time.monotonic()
        for fact in facts:
            if len(self.past) == KEPT_FACTS:
                dropped = self.past[0]
                self.known_above, self.heard_since = dropped.number, dropped.at
            self.past.append(Past(self.number, now, fact))

    def after(self, revision: str) -> list[dict[str, Any]] | None:
        """What was told after that message, the latest of each row; None when nobody knows."""
        epoch, _, number = revision.partition(".")
        if epoch != self.epoch or not number.isdecimal() or int(number) < self.known_above:
            return None
        return _latest(past.fact for past in self.past if past.number > int(number))

    def within(self, seconds: float) -> list[dict[str, Any]] | None:
        """What was told while a page of that age was on its way; None when nobody listened yet."""
        moment = time.monotonic() - seconds - 1.0  # it was read a little before it was shown
        if moment < self.heard_since:
            return None
        return _latest(past.fact for past in self.past if past.at >= moment)

    def told(self, revision: str) -> float | None:
        """When that message went out, in monotonic seconds; None when nobody knows any more."""
        epoch, _, number = revision.partition(".")
        moments = (past.at for past in reversed(self.past) if str(past.number) == number)
        return next(moments, None) if epoch == self.epoch else None


class Feed:
    """One channel of this process: it joins the group of every tenant that has a console open here."""

    def __init__(self) -> None:
        self.rooms: dict[UUID, Room] = {}
        self.sent = self.heard = 0
        self.channel = ""
        self.lock = asyncio.Lock()
        self.tasks: list[asyncio.Task[None]] = []

    async def join(self, tenant_id: UUID, listener: Listener) -> Room:
        """Raises what Redis raises; then nobody has joined."""
        async with self.lock:
            if not self.channel:
                self.channel = await _layer().new_channel()
                self.tasks = [
                    asyncio.create_task(self._listen()),
                    asyncio.create_task(self._keep()),
                ]
            room = self.rooms.get(tenant_id)
            if room is None:
                room = Room()
                await _layer().group_add(live.group_of(tenant_id), self.channel)
                room.begin()
                self.rooms[tenant_id] = room
            room.listeners.add(listener)
        return room

    def leave(self, tenant_id: UUID, listener: Listener) -> None:
        room = self.rooms.get(tenant_id)
        if room is not None:
            room.listeners.discard(listener)
            room.left_at = time.monotonic()

    async def _listen(self) -> None:
        while True:
            message = await _layer().receive(self.channel)
            if message["type"] == "pulse":
                self._hear_pulse(message["number"])
            elif room := self.rooms.get(UUID(message["tenant"])):
                _take(room, message["facts"])

    async def _keep(self) -> None:
        """Send a pulse round by Redis: one that does not come back means that facts were missed too."""
        while True:
            await asyncio.sleep(PULSE_SECONDS)
            await self._close_empty()
            if not self.rooms:
                continue
            self.sent += 1
            pulse = {"type": "pulse", "number": self.sent}
            try:
                await asyncio.wait_for(_layer().send(self.channel, pulse), live.SEND_SECONDS)
            except (OSError, TimeoutError, RedisError):
                logger.info("the feed's pulse did not go out")
            if self.sent - self.heard > LOST_PULSES:
                self._send_away()

    def _hear_pulse(self, number: int) -> None:
        is_next = number == self.heard + 1
        self.heard = max(self.heard, number)
        if is_next:
            return
        for room in self.rooms.values():
            room.begin()
            _tell(room, RESET)

    def _send_away(self) -> None:
        for room in self.rooms.values():
            listeners, room.listeners = room.listeners, set()
            for listener in listeners:
                listener.hang_up()

    async def _close_empty(self) -> None:
        before = time.monotonic() - LINGER_SECONDS
        for tenant_id, room in tuple(self.rooms.items()):
            if room.listeners or room.left_at > before:
                continue
            del self.rooms[tenant_id]
            leave = _layer().group_discard(live.group_of(tenant_id), self.channel)
            try:
                await asyncio.wait_for(leave, live.SEND_SECONDS)
            except (OSError, TimeoutError, RedisError):
                logger.info("the feed could not leave a group")


_by_epoch: WeakValueDictionary[str, Room] = WeakValueDictionary()
_feeds: WeakKeyDictionary[asyncio.AbstractEventLoop, Feed] = WeakKeyDictionary()


def of_this_process() -> Feed:
    """The feed of the running event loop, of which a server process has one."""
    return _feeds.setdefault(asyncio.get_running_loop(), Feed())


def told_at(revision: str) -> float | None:
    """When this process told the message of that revision; None when another did, or it was long ago."""
    room = _by_epoch.get(revision.partition(".")[0])
    return room.told(revision) if room else None


def message(facts: list[dict[str, Any]], room: Room) -> str:
    return json.dumps({"facts": facts, "rev": room.revision}, separators=(",", ":"))


def _take(room: Room, facts: list[dict[str, Any]]) -> None:
    for fact in facts:
        room.waiting[fact["topic"], fact["id"]] = fact
    if room.flushing is None or room.flushing.done():
        room.flushing = asyncio.create_task(_tell_soon(room))


async def _tell_soon(room: Room) -> None:
    """At once where nothing was told lately; what comes right after waits and goes together."""
    await asyncio.sleep(max(0.0, room.told_at + COALESCE_SECONDS - time.monotonic()))
    room.told_at = time.monotonic()
    facts, room.waiting = list(room.waiting.values()), {}
    room.remember(facts)
    _tell(room, message(facts, room))


def _tell(room: Room, text: str) -> None:
    for listener in tuple(room.listeners):
        listener.hear(text)


def _latest(facts: Any) -> list[dict[str, Any]]:
    return list({(fact["topic"], fact["id"]): fact for fact in facts}.values())


def _layer() -> Any:
    return get_channel_layer()
