"""How every sweep goes through what it found: one item that breaks is logged and stops no other."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

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


def each_tenant(
    found: Iterable[tuple[UUID, UUID]], do: Callable[[UUID, list[UUID]], object]
) -> int:
    """The same, tenant by tenant: `do` gets all the ids of one; returns how many tenants did not break."""
    groups: dict[UUID, list[UUID]] = defaultdict(list)
    for tenant_id, found_id in found:
        groups[tenant_id].append(found_id)
    return each(groups.items(), do)


def now_and_here(job: Callable[[], None]) -> None:
    """What a sweep submits its jobs to where no pool waits for them."""
    job()
