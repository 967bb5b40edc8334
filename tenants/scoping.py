"""The only way into tenant data: blocks that take a database role and a tenant in one statement (DESIGN.md rule 11)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from awfdrs_site.lib import clock, failures
from tenants.roles import APP, PIPELINE, PLATFORM

_ENTER = "select set_config('role', %s, true), set_config('awf.tenant', %s, true), awf_now()"


class OtherTenantInside(RuntimeError):
    """A block of one tenant tried to open a block of another one or of a wider role."""


class UnscopedQuery(RuntimeError):
    """A tenant-owned model was queried outside every block: nobody said whose rows are meant."""


@dataclass(frozen=True)
class Block:
    """Who the database takes us for."""

    role: str
    tenant_id: UUID | None


_current: ContextVar[Block | None] = ContextVar("awf_block", default=None)


def current() -> Block | None:
    """The innermost open block, if any."""
    return _current.get()


def bound(tenant_id: UUID, *, durable: bool = False) -> AbstractContextManager[datetime]:
    """A transaction that sees and writes one tenant's rows only; yields the database's time.

    Nests within itself and within pipeline and platform blocks (whose role it gives back on leaving); refuses
    another tenant inside. `durable=True` is for drivers: committed when the block has ended, refuses to nest.
    """
    return _block(Block(APP, tenant_id), durable=durable)


def pipeline(*, durable: bool = True) -> AbstractContextManager[datetime]:
    """A transaction of the cross-tenant sweeps: claims, backlog, partitions. Per-item work goes into `bound`."""
    return _block(Block(PIPELINE, None), durable=durable)


def platform(*, durable: bool = False) -> AbstractContextManager[datetime]:
    """A transaction of platform staff: every tenant's rows, and the only one that writes platform tables."""
    return _block(Block(PLATFORM, None), durable=durable)


def found(statement: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """What a cross-tenant sweep finds or claims, in a transaction of its own: committed when this returns."""
    with pipeline(), connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


@contextmanager
def _block(block: Block, *, durable: bool) -> Iterator[datetime]:
    outer = _current.get()
    if outer == block:
        with transaction.atomic(durable=durable):
            yield clock.now()
        return
    if outer is not None and (outer.tenant_id is not None or block.tenant_id is None):
        raise OtherTenantInside(f"{block} inside {outer}")
    nested = connection.in_atomic_block
    with transaction.atomic(durable=durable):
        now = _enter(block)
        token = _current.set(block)
        try:
            with clock.held_at(now):
                yield now
        except Exception as error:
            if block.tenant_id:
                failures.mark(error, block.tenant_id)
            raise
        finally:
            _current.reset(token)
        # RELEASE SAVEPOINT would keep the inner role; a rollback, even one just asked for, gives it back itself.
        if nested and not connection.needs_rollback:
            _enter(outer)


def _enter(block: Block | None) -> datetime:
    role = block.role if block else "none"
    tenant = str(block.tenant_id) if block and block.tenant_id else ""
    with connection.cursor() as cursor:
        cursor.execute(_ENTER, [role, tenant])
        row: tuple[str, str, datetime] = cursor.fetchone()
    return row[2]
