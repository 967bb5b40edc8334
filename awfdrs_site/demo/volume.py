"""The only place that makes a tenant as large as a large one: a million events in minutes, set by set.

Nothing is digested: what the digest would have written is written at once, and every count adds up. The same
number of events gives the same tenant, up to the hour in which it is made.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from awfdrs_site.demo import volume_sql
from awfdrs_site.demo.cast import ADMIN, OPERATOR, Company

VOLUME = Company(UUID(int=9), "Volume", "volume")
EVENTS_EACH = 20  # per incident, on average: the first has a tenth of all, most have one or two
EVENTS_MOST = 20_000_000
_IS_THERE = "select exists (select from tenants_tenant where id = %s)"


@dataclass(frozen=True)
class Made:
    """How much there is now."""

    events: int
    incidents: int
    runs: int


def seed(n_events: int, *, say: Callable[[str], None]) -> Made:
    """Make it, all or nothing. Raises CommandError when the tenant is there already."""
    if not 1 <= n_events <= EVENTS_MOST:
        raise CommandError(f"--events takes 1 to {EVENTS_MOST:,}.")
    owner = connections["owner"]  # partitions of past days, and no row by row
    with transaction.atomic(using="owner"):
        if _one(owner, _IS_THERE, [VOLUME.id]):
            raise CommandError(
                "The tenant Volume is there already: it is made once for a data directory."
            )
        for step, statements in volume_sql.steps().items():
            say(step)
            _run(owner, statements, n_events)
        made = Made(
            *(
                _one(owner, f"select count(*) from {table} where tenant_id = %s", [VOLUME.id])  # noqa: S608
                for table in ("events_event", "incidents_incident", "incidents_run")
            )
        )
    say("statistics")
    with owner.cursor() as cursor:
        for table in volume_sql.FILLED:
            cursor.execute(f"vacuum analyze {table}")
    return made


def _run(owner: BaseDatabaseWrapper, statements: tuple[str, ...], n_events: int) -> None:
    asked: dict[str, Any] = {
        "tenant": VOLUME.id,
        "name": VOLUME.name,
        "slug": VOLUME.slug,
        "operator": OPERATOR.username,
        "admin": ADMIN.username,
        "n_events": n_events,
        "n_incidents": max(1, n_events // EVENTS_EACH),
    }
    with owner.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, asked)


def _one(owner: BaseDatabaseWrapper, statement: str, asked: list[UUID]) -> int:
    with owner.cursor() as cursor:
        cursor.execute(statement, asked)
        return int(cursor.fetchone()[0])
