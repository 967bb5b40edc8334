"""The only clock of the product: the database's `awf_now()`, so that no worker's own clock decides anything."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

from django.db import connection

_block_now: ContextVar[datetime | None] = ContextVar("awf_block_now", default=None)


def now() -> datetime:
    """The block's time (read in its first statement), or a fresh reading outside any block."""
    current = _block_now.get()
    return current if current is not None else read()


def read() -> datetime:
    """Ask the database again, for code that runs longer than its block's first statement."""
    with connection.cursor() as cursor:
        cursor.execute("select awf_now()")
        row: tuple[datetime] = cursor.fetchone()
    return row[0]


@contextmanager
def held_at(moment: datetime) -> Iterator[None]:
    """Make `now()` answer `moment` inside: opened by `tenants.scoping` with the block's first reading."""
    token = _block_now.set(moment)
    try:
        yield
    finally:
        _block_now.reset(token)
