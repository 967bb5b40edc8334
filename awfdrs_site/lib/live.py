"""The only door from a committed change to open consoles: nudges, never truth.

A request never talks to Redis. It hands a fact to a bounded queue; one publisher thread per process sends it with a
250 ms deadline and drops it when Redis is away: the browser polls and a beat sweep finds the row all the same.
"""

import asyncio
import logging
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from channels.layers import get_channel_layer
from django.db import transaction
from django.http import HttpRequest

logger = logging.getLogger(__name__)

SEND_SECONDS = (
    0.25  # a hung Redis costs the publisher thread this much per nudge, a request nothing
)
FACTS_AT_ONCE = 500
KNOWN_SINCE = "awfdrs.known_since"  # in the scope of what a console re-reads
QUEUE_LIMIT = 10_000  # beyond this the nudges are dropped: pages poll, workers sweep


@dataclass(frozen=True)
class Fact:
    """What changed: the browser re-reads that row, whatever it now says."""

    tenant_id: UUID
    topic: str
    id: str
    version: int
    event: str = "changed"


_facts: dict[tuple[UUID, str, str], Fact] = {}
_facts_lock = threading.Lock()
_is_flush_queued = False
_waiting: queue.Queue[Callable[[], None]] = queue.Queue(QUEUE_LIMIT)
_thread: threading.Thread | None = None
_start = threading.Lock()


def known_since(request: HttpRequest) -> float:
    """The moment, in monotonic seconds, whose commits a console has to see: those it heard of, or all until now."""
    scope: Mapping[str, Any] = getattr(request, "scope", {})
    return float(scope.get(KNOWN_SINCE, time.monotonic()))


def group_of(tenant_id: UUID) -> str:
    """The Channels group that all open consoles of a tenant join."""
    return f"tenant.{tenant_id}"


def publish(fact: Fact) -> None:
    """Tell the tenant's open consoles once the transaction under way has committed."""
    transaction.on_commit(lambda: _hand_over(fact))


def nudge(deliver: Callable[[], None]) -> bool:
    """Run `deliver` soon on the publisher thread; False when the queue is full and it was dropped."""
    _ensure_thread()
    try:
        _waiting.put_nowait(deliver)
    except queue.Full:
        logger.warning("nudge dropped: the publisher's queue is full")
        return False
    return True


def drain(timeout_seconds: float = 5) -> None:
    """Wait until everything handed over so far was tried (graceful stop and tests)."""
    done = threading.Event()
    nudge(done.set)
    done.wait(timeout_seconds)


def _hand_over(fact: Fact) -> None:
    """A row that changes ten times before the thread comes round is one fact: the latest."""
    global _is_flush_queued
    with _facts_lock:
        _facts[fact.tenant_id, fact.topic, fact.id] = fact
        if not _is_flush_queued:
            _is_flush_queued = nudge(_send_facts) is True


def _ensure_thread() -> None:
    global _thread
    with _start:
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_run, name="publisher", daemon=True)
            _thread.start()


def _run() -> None:
    while True:
        deliver = _waiting.get()
        try:
            deliver()
        except Exception:  # a nudge may fail in any way Redis can; the rows are what counts
            logger.warning("nudge not delivered", exc_info=logger.isEnabledFor(logging.DEBUG))


def _send_facts() -> None:
    global _is_flush_queued
    with _facts_lock:
        facts = list(_facts.values())
        _facts.clear()
        _is_flush_queued = False
    _own_loop().run_until_complete(_send(facts))


async def _send(facts: list[Fact]) -> None:
    layer = get_channel_layer()
    if layer is None:
        return
    by_tenant: dict[UUID, list[Fact]] = defaultdict(list)
    for fact in facts:
        by_tenant[fact.tenant_id].append(fact)
    for tenant_id, theirs in by_tenant.items():
        for start in range(0, len(theirs), FACTS_AT_ONCE):
            message = _message(tenant_id, theirs[start : start + FACTS_AT_ONCE])
            # The first that times out ends the round: a hung Redis must not cost its deadline per message.
            await asyncio.wait_for(layer.group_send(group_of(tenant_id), message), SEND_SECONDS)


def _message(tenant_id: UUID, facts: list[Fact]) -> dict[str, object]:
    told = [
        {"topic": fact.topic, "id": fact.id, "v": fact.version, "ev": fact.event} for fact in facts
    ]
    return {"type": "facts", "tenant": str(tenant_id), "facts": told}


_own = threading.local()


def _own_loop() -> asyncio.AbstractEventLoop:
    """The publisher thread's event loop; the channel layer keeps its connections per loop."""
    loop: asyncio.AbstractEventLoop | None = getattr(_own, "loop", None)
    if loop is None:
        loop = _own.loop = asyncio.new_event_loop()
    return loop
