"""The retry budget of a vendor: in any minute a floor, and a share of the calls that workflows made by themselves.

What counts as such an original call is what we hear of: a success or a failure that a run reports of the vendor
while no retry of ours has touched that run. What nobody reports is not counted, so the budget errs downwards.
A second's calls leave the window together, up to a second early, which errs downwards too.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby

from django.db import connection

from awfdrs_site.lib.ids import uuid7
from safety.gatefacts import Budget
from safety.models import VendorSecond
from safety.ruletypes import RetryBudget
from tenants.models import Vendor

WINDOW = timedelta(minutes=1)
SLOTS = 60  # rows a vendor: each second of the window has one, written anew a minute later

# A digest that took its time from before another's keeps out of the newer second.
_HEARD = """
insert into safety_vendorsecond as heard (id, tenant_id, vendor_id, slot, at, originals)
values (%(id)s, %(tenant)s, %(vendor)s, %(slot)s, %(at)s, %(n)s)
on conflict (tenant_id, vendor_id, slot) do update
  set originals = excluded.originals + case when heard.at = excluded.at then heard.originals else 0 end,
      at = excluded.at
  where heard.at <= excluded.at
"""

Moment = tuple[datetime, int]  # when, how many


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
            },
        )


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
