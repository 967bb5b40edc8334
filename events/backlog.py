"""The only judge of whether too much waits to be digested: by size, and without counting for every request.

The count is asked for at most every few seconds, in one process by one request; the others read the last answer.
"""

import threading
import time
from dataclasses import dataclass, field

from django.conf import settings

from tenants import scoping

KEPT_SECONDS = 2.0
SHARE = 0.05  # of the time that may go into counting: a long backlog is counted less often
RETRY_AFTER_SECONDS = 10
SINGLES = 2  # times the limit of batches: who sends one by one comes second

_COUNT = """
select count(*) from (select 1 from events_pendingevent where poisoned_at is null limit %s) waiting
"""


@dataclass
class Gauge:
    """How much waits, as last counted."""

    _n: int = field(default=0, init=False)
    _until: float = field(default=0.0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def latest(self) -> int:
        if time.monotonic() >= self._until and self._lock.acquire(blocking=False):
            try:
                self._ask()
            finally:
                self._lock.release()
        return self._n

    @property
    def is_due(self) -> bool:
        """Whether the last answer is old."""
        return time.monotonic() >= self._until

    def was_above(self, *, batch: bool) -> bool:
        """By the last answer, however old."""
        return self._n > limit_of(batch=batch)

    def forget(self) -> None:
        self._until = 0.0

    def _ask(self) -> None:
        began = time.monotonic()
        # no further than to the highest limit
        self._n = scoping.found(_COUNT, [settings.BACKLOG_BATCH_LIMIT * SINGLES + 1])[0][0]
        took = time.monotonic() - began
        self._until = began + max(KEPT_SECONDS, took / SHARE)


waiting = Gauge()


def is_above(*, batch: bool) -> bool:
    """Whether events of this door are refused for now; age alone refuses nothing."""
    return waiting.latest() > limit_of(batch=batch)


def limit_of(*, batch: bool) -> int:
    limit: int = settings.BACKLOG_BATCH_LIMIT
    return limit if batch else limit * SINGLES
