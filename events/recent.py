"""The only place that reads the newest rows of a table partitioned by day without looking at every day."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from awfdrs_site.lib import clock, ids

WINDOWS = (timedelta(days=1), timedelta(days=7))


def newest(rows: QuerySet[Any], n: int, *, start: int = 0, before: UUID | None = None) -> list[Any]:
    """`rows[start:start + n]` of rows ordered by `-id`, none of them newer than `before`.

    Every day that a statement may read is planned for, and most of what is asked for is of the last one: a day
    and a week are tried first.
    """
    until = ids.made_at(before) if before else clock.now()
    for window in WINDOWS:
        found = list(rows.filter(pk__gte=ids.first_of(until - window))[start : start + n])
        if len(found) == n:
            return found
    return list(rows[start : start + n])
