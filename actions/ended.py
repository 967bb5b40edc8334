"""The only place where calls that have ended meet: whoever ends while one settlement commits is in the next one.

No timer: whoever finds nobody settling for the tenant settles at once, alone; those who come meanwhile wait, and the
first of them then settles for all.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Event, Lock
from uuid import UUID

from actions import settling
from actions.models import Action
from actions.settling import Ended

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class _Place:
    """One that waits for its settlement: once called it is settled, or it is its turn to settle for all."""

    ended: Ended
    called: Event = field(default_factory=Event)
    settled: Mapping[UUID, Action | None] | None = None


_waiting: dict[UUID, list[_Place]] = {}  # by tenant; no entry: nobody settles for it
_lock = Lock()


def settle(ended: Ended) -> Action | None:
    """Settled with whoever ended at the same time; None when its lease was lost meanwhile. Raises what it breaks of."""
    tenant_id, place = ended.claim.tenant_id, _Place(ended)
    with _lock:
        is_first = tenant_id not in _waiting
        _waiting.setdefault(tenant_id, []).append(place)
    if not is_first:
        place.called.wait()
    if place.settled is None:
        _settle_for_all(tenant_id)
    return _own(place)


def is_settling() -> bool:
    """Whether calls of this process have ended and wait for their settlement, or are in it."""
    return bool(_waiting)


def _own(place: _Place) -> Action | None:
    ended, settled = place.ended, place.settled or {}
    if ended.claim.action_id in settled:
        return settled[ended.claim.action_id]
    claim = ended.claim
    return settling.settle_many(tenant_id=claim.tenant_id, ended=[ended])[claim.action_id]


def _settle_for_all(tenant_id: UUID) -> None:
    """One alone breaks as it would by itself; one of several harms none of the others."""
    with _lock:
        places, _waiting[tenant_id] = _waiting[tenant_id], []
    settled: Mapping[UUID, Action | None] = {}
    try:
        settled = settling.settle_many(tenant_id=tenant_id, ended=[each.ended for each in places])
    except Exception:
        if len(places) == 1:
            raise
        logger.exception("%s calls did not settle together", len(places))
    finally:
        for each in places:
            each.settled = settled
            each.called.set()
        _call_next(tenant_id)


def _call_next(tenant_id: UUID) -> None:
    with _lock:
        if _waiting[tenant_id]:
            _waiting[tenant_id][0].called.set()
        else:
            del _waiting[tenant_id]
