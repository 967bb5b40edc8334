"""The vendor rate limit shared by all workers: one GCRA row per vendor in Postgres, conservative and never above.

GCRA (ITU-T I.371): a call conforms when the theoretical arrival time is at most a burst ahead of now. Whoever spends
holds the row until the transaction ends, so two workers can never spend the same token.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from awfdrs_site.lib.ids import uuid7
from safety.ruletypes import RateLimit
from tenants.models import Vendor

# Whoever looks first makes the row; a bucket starts with one token, not a full burst.
_HOLD = """
insert into safety_vendorbucket as bucket (id, tenant_id, vendor_id, arrival_at)
values (%(id)s, %(tenant)s, %(vendor)s, %(now)s::timestamptz + %(ahead)s::interval)
on conflict (tenant_id, vendor_id) do update set arrival_at = bucket.arrival_at
returning arrival_at
"""
_KEEP = "update safety_vendorbucket set arrival_at = %s where tenant_id = %s and vendor_id = %s"
_ARRIVAL = "select arrival_at from safety_vendorbucket where tenant_id = %s and vendor_id = %s"


@dataclass(frozen=True)
class Taken:
    """Whether the call may go out now, and if not, when the next token is there."""

    allowed: bool
    clears_at: datetime | None


@dataclass
class Bucket:
    """A vendor's bucket, its row held until the transaction ends; what is spent of it is stored by `keep`."""

    vendor: Vendor
    limit: RateLimit
    arrival_at: datetime


def take(vendor: Vendor, limit: RateLimit, *, now: datetime) -> Taken:
    """Spend one token, or say when to come back. Never above burst + rate·t in any window."""
    bucket = hold(vendor, limit, now=now)
    taken = spend(bucket, now=now)
    keep(bucket)
    return taken


def hold(vendor: Vendor, limit: RateLimit, *, now: datetime) -> Bucket:
    """Keep others from the vendor's tokens until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            _HOLD,
            {
                "id": uuid7(),
                "tenant": vendor.tenant_id,
                "vendor": vendor.id,
                "now": now,
                "ahead": str(untouched(limit)),
            },
        )
        return Bucket(vendor, limit, cursor.fetchone()[0])


def untouched(limit: RateLimit) -> timedelta:
    """How far ahead the arrival time of a bucket stands that nobody used: one token is there."""
    interval, burst = _terms(limit)
    return burst - interval


def spend(bucket: Bucket, *, now: datetime) -> Taken:
    """One token of a bucket that is held."""
    taken = _look(bucket.arrival_at, bucket.limit, now=now)
    if taken.allowed:
        bucket.arrival_at = max(bucket.arrival_at, now) + _terms(bucket.limit)[0]
    return taken


def keep(bucket: Bucket) -> None:
    """Store what was spent of it."""
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, [bucket.arrival_at, bucket.vendor.tenant_id, bucket.vendor.id])


def peek(vendor: Vendor, limit: RateLimit, *, now: datetime) -> Taken:
    """What `take` would answer; nothing is spent."""
    with connection.cursor() as cursor:
        cursor.execute(_ARRIVAL, [vendor.tenant_id, vendor.id])
        found = cursor.fetchone()
    return Taken(True, None) if found is None else _look(found[0], limit, now=now)


def _look(arrival_at: datetime, limit: RateLimit, *, now: datetime) -> Taken:
    interval, burst = _terms(limit)
    if max(arrival_at, now) - now <= burst - interval:
        return Taken(True, None)
    return Taken(False, arrival_at - burst + interval)


def _terms(limit: RateLimit) -> tuple[timedelta, timedelta]:
    """How far apart the tokens come, and how far ahead they may be spent."""
    interval = timedelta(microseconds=math.ceil(1_000_000 / limit.requests_per_second))
    return interval, interval * limit.burst_size
