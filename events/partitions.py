"""The only caller of `awf_make_partition` and `awf_drop_partition`: days are made ahead, and go with age."""

from datetime import date, datetime, timedelta

from django.db import IntegrityError, connection

from tenants import scoping

DAYS_AHEAD = 3  # beat may be dead for a weekend; after that the first event of a day makes it

_TABLES = ["events_event"]
_MAKE = "select awf_make_partition(%s, %s)"
_DROP = "select awf_drop_partition(%s, %s)"
_MISSING = "no partition of relation"


def register(table: str) -> None:
    """Add a table that is partitioned by day like Event; called from an app's `ready`."""
    if table not in _TABLES:
        _TABLES.append(table)


def make(*, now: datetime) -> None:
    """Make today's and the coming days' partitions of every registered table; safe to run again."""
    with scoping.pipeline(), connection.cursor() as cursor:
        for table in _TABLES:
            for ahead in range(DAYS_AHEAD + 1):
                cursor.execute(_MAKE, [table, (now + timedelta(days=ahead)).date()])


def is_missed(error: IntegrityError) -> bool:
    """Whether it failed because nobody had made its day."""
    return _MISSING in str(error)


def make_missed() -> None:
    """For the first event of a day that nobody made; outside every block."""
    with scoping.pipeline() as now:
        pass
    make(now=now)


def tables() -> list[str]:
    """Every table that has days."""
    return list(_TABLES)


def drop(day: date) -> None:
    """Drop that day of every registered table, in the pipeline's open block."""
    with connection.cursor() as cursor:
        for table in _TABLES:
            cursor.execute(_DROP, [table, day])
