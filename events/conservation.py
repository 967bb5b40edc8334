"""The only books of what came in: received = accepted + replayed + quarantined + limited + refused, per key and hour.

A request adds a row beside its events; the sweep adds the rows up. Nobody waits for a counter that others hold.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from uuid import UUID

from django.db import connection

from awfdrs_site.lib.ids import uuid7
from tenants import scoping

AT_ONCE = 5000  # deltas added up in one transaction
NO_KEY = UUID(int=0)  # a person's own request

_NUMBERS = "received, accepted, replayed, quarantined, limited, refused"
_SUMS = ", ".join(f"sum({name})::bigint {name}" for name in _NUMBERS.split(", "))
COUNT = f"""
insert into events_ingestdelta (id, tenant_id, api_key_id, hour, {_NUMBERS})
values (%s, %s, %s, date_trunc('hour', %s, 'UTC'), %s, %s, %s, %s, %s, %s)
"""  # noqa: S608  # of constants
# Two sweeps at once take different rows, and the hours in one order.
_ADD_UP = f"""
with taken as (
  delete from events_ingestdelta where id in (
    select id from events_ingestdelta order by id limit %s for update skip locked)
  returning tenant_id, api_key_id, hour, {_NUMBERS}
), added as (
  select tenant_id, api_key_id, hour, count(*) n, {_SUMS} from taken group by 1, 2, 3
), kept as (
  insert into events_ingesthour as kept (id, tenant_id, api_key_id, hour, {_NUMBERS})
  select gen_random_uuid(), tenant_id, api_key_id, hour, {_NUMBERS}
  from added order by tenant_id, api_key_id, hour
  on conflict (tenant_id, api_key_id, hour) do update set
    received = kept.received + excluded.received, accepted = kept.accepted + excluded.accepted,
    replayed = kept.replayed + excluded.replayed, quarantined = kept.quarantined + excluded.quarantined,
    limited = kept.limited + excluded.limited, refused = kept.refused + excluded.refused
)
select coalesce(sum(n), 0) from added
"""  # noqa: S608
# What no sweep has added up yet counts too: the books balance at any moment.
_BY_HOUR = f"""
select api_key_id, hour, {_SUMS}
from (select api_key_id, hour, {_NUMBERS} from events_ingesthour where tenant_id = %(tenant)s and hour >= %(since)s
      union all
      select api_key_id, hour, {_NUMBERS} from events_ingestdelta where tenant_id = %(tenant)s and hour >= %(since)s
     ) counted
group by 1, 2 order by 2, 1
"""  # noqa: S608


@dataclass(frozen=True)
class Tally:
    """Events by what became of them."""

    received: int = 0
    accepted: int = 0
    replayed: int = 0
    quarantined: int = 0
    limited: int = 0
    refused: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def is_balanced(self) -> bool:
        """Nothing that came in is without a verdict."""
        fates = (self.accepted, self.replayed, self.quarantined, self.limited, self.refused)
        return self.received == sum(fates)


@dataclass(frozen=True)
class Hour:
    """One key's hour."""

    api_key_id: UUID
    hour: datetime
    tally: Tally


def count(tenant_id: UUID, key_id: UUID | None, tally: Tally, *, now: datetime) -> None:
    """Add to the books in the tenant's block that is open."""
    if tally.received:
        row = [uuid7(now), tenant_id, key_id or NO_KEY, now, *astuple(tally)]
        with connection.cursor() as cursor:
            cursor.execute(COUNT, row)


def add_up() -> int:
    """Turn what requests added into hours; returns 0, for nobody waits for it."""
    while scoping.found(_ADD_UP, [AT_ONCE])[0][0] >= AT_ONCE:
        pass
    return 0


def by_hour(tenant_id: UUID, *, since: datetime) -> list[Hour]:
    """The hours from `since` on that have anything, in their order; needs the tenant's block."""
    with connection.cursor() as cursor:
        cursor.execute(_BY_HOUR, {"tenant": tenant_id, "since": since})
        return [Hour(key_id, hour, Tally(*map(int, rest))) for key_id, hour, *rest in cursor]


def total(hours: Iterable[Hour]) -> Tally:
    return sum((one.tally for one in hours), Tally())


FATES = tuple(field.name for field in fields(Tally) if field.name != "received")
