"""What several requests ask for at the same moment, read once for all of them.

Each says since when it has to know everything. A read that began later shows what was committed by then, as one of its
own would; an older one is never given, so nothing is out of date and nothing has to be thrown away.
"""

import threading
import time
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

KEPT_SECONDS = 10.0  # nobody waits longer for a turn; memory, not truth, is why it ends

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


@dataclass
class _Shelf(Generic[Key, Item]):
    """What was read for one owner, each with when its read began."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    kept: dict[Key, tuple[float, Item | None]] = field(default_factory=dict)
    used_at: float = 0.0


class Shared(Generic[Key, Item]):
    """Reads of this process, apart for each owner: a tenant, or a tenant's view."""

    def __init__(self) -> None:
        self._shelves: dict[Hashable, _Shelf[Key, Item]] = {}
        self._lock = threading.Lock()

    def get(
        self,
        owner: Hashable,
        keys: Collection[Key],
        *,
        since: float,
        read: Callable[[Collection[Key]], Mapping[Key, Item]],
    ) -> dict[Key, Item]:
        """What is found of `keys`; `read` is called for those that nobody read since `since` (monotonic seconds).

        One of an owner reads at a time. Raises what `read` raises, and keeps nothing of it.
        """
        shelf = self._shelf(owner)
        with shelf.lock:
            began = time.monotonic()
            _clear(shelf.kept, before=began - KEPT_SECONDS)
            missing = [key for key in keys if not _is_new(shelf.kept.get(key), since)]
            if missing:
                found = read(missing)
                shelf.kept |= {key: (began, found.get(key)) for key in missing}
            items = {key: shelf.kept[key][1] for key in keys}
        return {key: item for key, item in items.items() if item is not None}

    def _shelf(self, owner: Hashable) -> _Shelf[Key, Item]:
        now = time.monotonic()
        with self._lock:
            for other in [
                other
                for other, shelf in self._shelves.items()
                if shelf.used_at < now - KEPT_SECONDS and not shelf.lock.locked()
            ]:
                del self._shelves[other]
            shelf = self._shelves.setdefault(owner, _Shelf())
            shelf.used_at = now
        return shelf


def _is_new(kept: tuple[float, Item | None] | None, since: float) -> bool:
    return kept is not None and kept[0] >= since


def _clear(kept: dict[Key, tuple[float, Item | None]], *, before: float) -> None:
    for key in [key for key, (began, _) in kept.items() if began < before]:
        del kept[key]
