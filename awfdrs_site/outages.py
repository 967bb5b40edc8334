"""What the frame around every page says of a degraded product: looked up now and then, never waited for."""

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from django.http import HttpRequest

from awfdrs_site import health

WAIT_SECONDS = 0.25  # what a page may lose to a question, once per KEPT_SECONDS
KEPT_SECONDS = 5.0  # of the 10 s within which an operator must see it


class Silence:
    """A dependency did not answer in the time a page has."""


@dataclass
class Watch:
    """The latest answer of a probe, asked again when it is old; one asks, the others read."""

    probe: str  # the name in `health`, so that whoever replaces it there is asked
    _answer: Any = field(default=None, init=False)
    _asked_at: float = field(default=-KEPT_SECONDS, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def latest(self) -> Any:
        """What it said, or a Silence."""
        if time.monotonic() - self._asked_at >= KEPT_SECONDS and self._lock.acquire(blocking=False):
            try:
                self._answer = self._ask()
                self._asked_at = time.monotonic()
            finally:
                self._lock.release()
        return self._answer

    def forget(self) -> None:
        self._asked_at = -KEPT_SECONDS

    def _ask(self) -> Any:
        try:
            return getattr(health, self.probe).start().result(WAIT_SECONDS)
        except Exception:
            return Silence()


redis, pipeline = Watch("cache"), Watch("pipeline")


class Outages:
    """Lazy: pages without the frame ask nobody."""

    @cached_property
    def redis_away(self) -> bool:
        return isinstance(redis.latest(), Silence)

    @cached_property
    def delayed_since(self) -> datetime | None:
        """Since when the oldest event waits, once that is too long; no worker digests."""
        answer = pipeline.latest()
        if answer is None or isinstance(answer, Silence):
            return None
        received_at, _, _, now = answer
        is_late = received_at and (now - received_at).total_seconds() > health.LATE_SECONDS
        return received_at if is_late else None


def console(request: HttpRequest) -> dict[str, Any]:
    return {"outages": Outages()}


def redis_up() -> int:
    """For the gauge: 1 while Redis answers."""
    return int(not isinstance(redis.latest(), Silence))
