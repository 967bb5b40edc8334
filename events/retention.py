"""The only place that lets old days of events go: what explains an incident is copied before a day goes."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection

from awfdrs_site.lib import ids
from events import partitions
from tenants import scoping

KEYS_AT_ONCE = 20_000
DAYS_AT_ONCE = 7  # a product that was off for long catches up over some runs

_COLUMNS = """id, tenant_id, workflow_id, event_type, payload, occurred_at, received_at, run_ref, schema_version,
    extra, vendor_name, correlation_id"""
_KEEP = f"""
insert into events_keptevent ({_COLUMNS})
select {_COLUMNS} from events_event where id = any(%s)
on conflict do nothing
"""  # noqa: S608  # of constants
_DAYS = """
select distinct to_date(right(child.relname, 8), 'YYYYMMDD')
from pg_inherits join pg_class child on child.oid = inhrelid join pg_class parent on parent.oid = inhparent
where parent.relname = any(%s) and child.relname ~ '_[0-9]{8}$'
"""
_KEYS = """
delete from events_eventkey where (tenant_id, key_hash) in (
  select tenant_id, key_hash from events_eventkey where event_id < %s limit %s)
"""
_POISONED = "delete from events_pendingevent where id < %s and poisoned_at is not null"
_REFUSED = "delete from events_quarantinedevent where id < %s"
# A day with work left in it stays: nothing undigested is ever dropped.
_UNDIGESTED = (
    "select exists (select from events_pendingevent where id < %s and poisoned_at is null)"
)

# Which of the events between two ids are worth keeping; asked in the pipeline's block.
Worth = Callable[[UUID, UUID], Iterable[UUID]]


def nothing_more(_first: UUID, _beyond: UUID) -> Iterable[UUID]:
    return ()


def let_go(*, worth: Worth = nothing_more) -> int:
    """Drop the days beyond EVENT_RETENTION_DAYS, each in a transaction of its own; returns how many went.

    Safe to run twice, and to be killed: copies are made in the transaction that drops their day.
    """
    with scoping.pipeline() as now:
        days = _beyond(now)
    return sum(_drop(day, worth=worth) for day in days[:DAYS_AT_ONCE])


def _beyond(now: datetime) -> list[date]:
    oldest = (now - timedelta(days=settings.EVENT_RETENTION_DAYS)).astimezone(UTC).date()
    with connection.cursor() as cursor:
        cursor.execute(_DAYS, [partitions.tables()])
        return sorted(day for (day,) in cursor if day < oldest)


def _drop(day: date, *, worth: Worth) -> int:
    first, beyond = ids.day_bound(day), ids.day_bound(day + timedelta(days=1))
    with scoping.pipeline(), connection.cursor() as cursor:
        cursor.execute(_UNDIGESTED, [beyond])
        if cursor.fetchone()[0]:
            return 0
        cursor.execute(_KEEP, [list(worth(first, beyond))])
        cursor.execute(_POISONED, [beyond])
        cursor.execute(_REFUSED, [beyond])
        partitions.drop(day)
    _forget_keys(beyond)
    return 1


def _forget_keys(beyond: UUID) -> None:
    """A key lives as long as its event; some at a time, so that no ingest waits for them all."""
    while True:
        with scoping.pipeline(), connection.cursor() as cursor:
            cursor.execute(_KEYS, [beyond, KEYS_AT_ONCE])
            if cursor.rowcount < KEYS_AT_ONCE:
                return
