"""How every sweep goes through what it found: one item that breaks is logged and stops no other."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from awfdrs_site.lib import failures

logger = logging.getLogger(__name__)


def each(items: Iterable[tuple[Any, ...]], do: Callable[..., object]) -> int:
    """Call `do` with every item's values; returns how many did not break, so that a broken one never spins."""
    done = 0
    for item in items:
        try:
            do(*item)
        except Exception as error:
            logger.exception("sweep item %s failed", item)
            failures.note(failures.name_of(do), error)
        else:
            done += 1
    return done


def now_and_here(job: Callable[[], None]) -> None:
    """What a sweep submits its jobs to where no pool waits for them."""
    job()
