"""The only place where failures of our own work wait until a sweep reports them.

Noting one asks no database: whoever failed may stand in a broken transaction.
"""

import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import UUID

from django.conf import settings

MOST = 100  # the log has the others
AGAIN_SECONDS = 60  # of one kind: a sweep that breaks every second is one report a minute
_TENANT = "_awf_tenant_id"


@dataclass(frozen=True)
class Failure:
    """What may be told of it. Never what the exception says: that may quote what nobody should read."""

    where: str
    error: str
    at: str
    tenant_id: UUID | None


_waiting: deque[Failure] = deque(maxlen=MOST)
_noted: dict[tuple[str, str], float] = {}


def note(where: str, error: BaseException) -> None:
    """Keep it for the next report, unless one of its kind was noted within the minute."""
    _keep(Failure(where, type(error).__name__, _place(error), tenant_of(error)))


def name_of(verb: Callable[..., object]) -> str:
    """What a sweep, or what it does with an item, is called."""
    plain = verb.func if isinstance(verb, partial) else verb
    return f"{plain.__module__}.{getattr(plain, '__qualname__', plain)}"


def note_missed(what: str) -> None:
    """The same for what should have happened and did not."""
    _keep(Failure(what, "Missed", "", None))


def taken() -> list[Failure]:
    """Everything that waits; it waits no longer."""
    return [_waiting.popleft() for _ in range(len(_waiting))]


def put_back(failures: Sequence[Failure]) -> None:
    """They could not be told: first in turn next time."""
    room = MOST - len(_waiting)
    _waiting.extendleft(reversed(failures[:room]))


def mark(error: BaseException, tenant_id: UUID) -> None:
    """Remember in whose block it was raised; the innermost block is the first to say."""
    if tenant_of(error) is None:
        setattr(error, _TENANT, tenant_id)


def tenant_of(error: BaseException) -> UUID | None:
    found: UUID | None = getattr(error, _TENANT, None)
    return found


def _keep(failure: Failure) -> None:
    kind, now = (failure.where, failure.error), time.monotonic()
    if now - _noted.get(kind, -AGAIN_SECONDS) < AGAIN_SECONDS:
        return
    _noted[kind] = now
    _waiting.append(failure)


def _place(error: BaseException) -> str:
    """The last line of ours that it went through."""
    home = Path(settings.BASE_DIR)
    ours = [
        Path(frame.filename).relative_to(home)
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(home) and ".venv" not in frame.filename
    ]
    return str(ours[-1]) if ours else ""
