"""The vendor rate limit shared by all workers: one GCRA row per vendor in Postgres, conservative and never above.

GCRA (ITU-T I.371): a call conforms when the theoretical arrival time is at most a burst ahead of now. The row is
locked by its UPDATE, so two workers can never spend the same token.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from awfdrs_site.lib.ids import uuid7
from safety.ruletypes import RateLimit
from tenants.models import Vendor

# The first call of a vendor makes the row; a bucket starts with one token, not a full burst.
_TAKE = """
insert into safety_vendorbucket as bucket (id, tenant_id, vendor_id, arrival_at)
values (%(id)s, %(tenant)s, %(vendor)s, %(now)s::timestamptz + %(burst)s::interval)
on conflict (tenant_id, vendor_id) do update
  set arrival_at = greatest(bucket.arrival_at, %(now)s::timestamptz) + %(interval)s::interval
  where greatest(bucket.arrival_at, %(now)s::timestamptz) - %(now)s::timestamptz
        <= %(burst)s::interval - %(interval)s::interval
returning arrival_at
"""
_ARRIVAL = "select arrival_at from safety_vendorbucket where tenant_id = %s and vendor_id = %s"


@dataclass(frozen=True)
class Taken:
    """Whether the call may go out now, and if not, when the next token is there."""

    allowed: bool
    clears_at: datetime | None


def take(vendor: Vendor, limit: RateLimit, *, now: datetime) -> Taken:
    """Spend one token, or say when to come back. Never above burst + rate·t in any window."""
    interval, burst = _terms(limit)
    with connection.cursor() as cursor:
        cursor.execute(
            _TAKE,
            {
                "id": uuid7(),
                "tenant": vendor.tenant_id,
                "vendor": vendor.id,
                "now": now,
                "interval": str(interval),
                "burst": str(burst),
            },
        )
        if cursor.fetchone():
            return Taken(True, None)
    return peek(vendor, limit, now=now)


def peek(vendor: Vendor, limit: RateLimit, *, now: datetime) -> Taken:
    """What `take` would answer; nothing is spent."""
    interval, burst = _terms(limit)
    with connection.cursor() as cursor:
        cursor.execute(_ARRIVAL, [vendor.tenant_id, vendor.id])
        found = cursor.fetchone()
    if found is None or max(found[0], now) - now <= burst - interval:
        return Taken(True, None)
    return Taken(False, found[0] - burst + interval)


def _terms(limit: RateLimit) -> tuple[timedelta, timedelta]:
    """How far apart the tokens come, and how far ahead they may be spent."""
    interval = timedelta(microseconds=math.ceil(1_000_000 / limit.requests_per_second))
    return interval, interval * limit.burst_size
