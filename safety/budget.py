"""The retry budget of a vendor, and its meter: a floor and a share of the calls that workflows made by themselves.

What counts as such an original call is what we hear of: a success or a failure that a run reports of the vendor
while no retry of ours has touched that run. What nobody reports is not counted, so the budget errs downwards.
A second's calls leave the window together, up to a second early, which errs downwards too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db import connection

from awfdrs_site.lib.ids import uuid7
from safety.gatefacts import Budget
from safety.models import VendorMinute, VendorSecond
from safety.ruletypes import RetryBudget
from tenants.models import Vendor

WINDOW = timedelta(minutes=1)
SLOTS = 60  # rows a vendor: each second of the window has one, written anew a minute later
METERED = timedelta(hours=1)  # 60 rows a vendor here too, each written anew an hour later

_COUNTED = """
insert into safety_vendorminute as counted
  (id, tenant_id, vendor_id, slot, at, originals, retries, campaign_calls)
values (%(minute_id)s, %(tenant)s, %(vendor)s, %(minute_slot)s, %(minute)s,
        %(originals)s, %(retries)s, %(campaign_calls)s)
on conflict (tenant_id, vendor_id, slot) do update
  set originals = excluded.originals + case when counted.at = excluded.at then counted.originals else 0 end,
      retries = excluded.retries + case when counted.at = excluded.at then counted.retries else 0 end,
      campaign_calls = excluded.campaign_calls
        + case when counted.at = excluded.at then counted.campaign_calls else 0 end,
      at = excluded.at
  where counted.at <= excluded.at
"""
# A digest that took its time from before another's keeps out of the newer second.
_HEARD = f"""
with counted as ({_COUNTED})
insert into safety_vendorsecond as heard (id, tenant_id, vendor_id, slot, at, originals)
values (%(id)s, %(tenant)s, %(vendor)s, %(slot)s, %(at)s, %(n)s)
on conflict (tenant_id, vendor_id, slot) do update
  set originals = excluded.originals + case when heard.at = excluded.at then heard.originals else 0 end,
      at = excluded.at
  where heard.at <= excluded.at
"""  # noqa: S608

Moment = tuple[datetime, int]  # when, how many


@dataclass(frozen=True)
class Minute:
    """Calls to a vendor in one minute, by who made them."""

    at: datetime
    originals: int = 0
    retries: int = 0
    campaign_calls: int = 0


@dataclass(frozen=True)
class Meter:
    """A vendor's last hour: a point for each minute, oldest first; the last one is not over yet."""

    minutes: tuple[Minute, ...]

    @property
    def originals(self) -> int:
        return sum(minute.originals for minute in self.minutes)

    @property
    def retries(self) -> int:
        return sum(minute.retries for minute in self.minutes)

    @property
    def campaign_calls(self) -> int:
        """People sent them, in stages of their own: they are in no budget, and not in the amplification."""
        return sum(minute.campaign_calls for minute in self.minutes)

    @property
    def amplification(self) -> float:
        """Calls for each call that a workflow made by itself: 1 is no retry at all, 1.2 the budget's default."""
        return 1 + self.retries / max(self.originals, 1)


def hear(vendor: Vendor, n_originals: int, *, now: datetime) -> None:
    """Add calls that workflows reported; the digest says so, with the events that say it."""
    at = now.replace(microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute(
            _HEARD,
            {
                "id": uuid7(),
                "tenant": vendor.tenant_id,
                "vendor": vendor.pk,
                "slot": int(at.timestamp()) % SLOTS,
                "at": at,
                "n": n_originals,
                **_minute(vendor, now=now, originals=n_originals),
            },
        )


def spend(vendor: Vendor, *, is_of_campaign: bool, now: datetime, n_calls: int = 1) -> None:
    """Meter calls that we make; their start says so, while it holds the vendor's breaker."""
    kind = "campaign_calls" if is_of_campaign else "retries"
    with connection.cursor() as cursor:
        cursor.execute(_COUNTED, _minute(vendor, now=now, **{kind: n_calls}))


def meter(vendor: Vendor, *, now: datetime) -> Meter:
    """The vendor's last hour by minute."""
    return meters(vendor.tenant_id, [vendor.pk], now=now)[vendor.pk]


def meters(tenant_id: UUID, vendor_ids: Iterable[UUID], *, now: datetime) -> dict[UUID, Meter]:
    """The same of many, in one query; one that nobody called stands at zero."""
    wanted, this_minute = list(vendor_ids), now.replace(second=0, microsecond=0)
    rows = VendorMinute.objects.for_tenant(tenant_id).filter(
        vendor_id__in=wanted, at__gt=this_minute - METERED, at__lte=this_minute
    )
    found: dict[UUID, dict[datetime, Minute]] = {vendor_id: {} for vendor_id in wanted}
    for row in rows:
        minute = Minute(row.at, row.originals, row.retries, row.campaign_calls)
        found[row.vendor_id][row.at] = minute
    return {vendor_id: _hour(minutes, until=this_minute) for vendor_id, minutes in found.items()}


def heard(vendor: Vendor, *, now: datetime) -> list[Moment]:
    """The vendor's original calls of the last minute, by second."""
    mine = VendorSecond.objects.for_tenant(vendor.tenant_id).filter(vendor_id=vendor.pk)
    return list(mine.filter(at__gt=now - WINDOW).values_list("at", "originals"))


def judge(
    retried_at: Sequence[datetime], heard: Sequence[Moment], policy: RetryBudget, *, now: datetime
) -> Budget:
    """The budget now, and when the next retry fits if nothing else happens: pure.

    Both windows slide. A retry that leaves makes room, an original call that leaves takes some away again, so
    every such moment is tried in its order.
    """
    leaving = sorted(
        [(at + WINDOW, -1, 0) for at in retried_at if at + WINDOW > now]
        + [(at + WINDOW, 0, -n) for at, n in heard if at + WINDOW > now]
    )
    made = -sum(retry for _, retry, _ in leaving)
    originals = -sum(call for _, _, call in leaving)
    today = Budget(made, originals, policy.share_percent, policy.floor_per_minute)
    if not today.is_empty:
        return today
    for moment, gone in groupby(leaving, key=lambda one: one[0]):
        for _, retry, call in gone:
            made, originals = made + retry, originals + call
        if not replace(today, made=made, originals=originals).is_empty:
            return replace(today, clears_at=moment)
    return today  # a floor of none at all: it never clears


def _minute(
    vendor: Vendor, *, now: datetime, originals: int = 0, retries: int = 0, campaign_calls: int = 0
) -> dict[str, Any]:
    return {
        "minute_id": uuid7(),
        "tenant": vendor.tenant_id,
        "vendor": vendor.pk,
        "minute_slot": now.minute,
        "minute": now.replace(second=0, microsecond=0),
        "originals": originals,
        "retries": retries,
        "campaign_calls": campaign_calls,
    }


def _hour(minutes: Mapping[datetime, Minute], *, until: datetime) -> Meter:
    each = (until - timedelta(minutes=n) for n in range(59, -1, -1))
    return Meter(tuple(minutes.get(at, Minute(at)) for at in each))
