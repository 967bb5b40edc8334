"""The only place that counts what many vendors' limits have used at once, for people; the gates count one vendor.

It counts the rows that `facts` counts. Nothing is locked, so what stands here may be over when somebody reads it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, Sum

from actions import facts
from safety import budget
from safety.models import VendorBucket, VendorSecond


@dataclass(frozen=True)
class Used:
    """One vendor's."""

    in_flight: int = 0
    in_hour: int = 0  # attempts that nobody asked for
    in_minute: int = 0  # retries of the budget
    originals: int = 0  # calls of the last minute that workflows made by themselves
    arrival_at: datetime | None = None  # of the rate's bucket


def of(tenant_id: UUID, vendor_ids: Iterable[UUID], *, now: datetime) -> dict[UUID, Used]:
    """Four queries, however many vendors; one that nobody called has used nothing."""
    wanted = list(vendor_ids)
    under_way = _under_way(tenant_id, wanted)
    attempts = _attempts(tenant_id, wanted, now=now)
    seconds = VendorSecond.objects.for_tenant(tenant_id).filter(
        vendor_id__in=wanted, at__gt=now - budget.WINDOW
    )
    heard = _pairs(seconds.order_by().values("vendor_id").annotate(n=Sum("originals")))
    buckets = VendorBucket.objects.for_tenant(tenant_id).filter(vendor_id__in=wanted)
    arrivals = dict(buckets.values_list("vendor_id", "arrival_at"))
    return {
        pk: Used(
            in_flight=under_way.get(pk, 0),
            in_hour=attempts[pk][0] if pk in attempts else 0,
            in_minute=attempts[pk][1] if pk in attempts else 0,
            originals=heard.get(pk, 0),
            arrival_at=arrivals.get(pk),
        )
        for pk in wanted
    }


def _under_way(tenant_id: UUID, vendor_ids: list[UUID]) -> dict[UUID, int]:
    calling = facts.calling(tenant_id).filter(vendor_id__in=vendor_ids)
    return _pairs(calling.order_by().values("vendor_id").annotate(n=Count("pk")))


def _attempts(
    tenant_id: UUID, vendor_ids: list[UUID], *, now: datetime
) -> dict[UUID, tuple[int, int]]:
    recent = facts.retries_since(tenant_id, now - facts.HOUR).filter(vendor_id__in=vendor_ids)
    rows = (
        recent.order_by()
        .values("vendor_id")
        .annotate(
            hour=Count("pk", filter=Q(is_unattended=True)),
            minute=Count("pk", filter=Q(started_at__gt=now - budget.WINDOW)),
        )
    )
    found: dict[UUID, tuple[int, int]] = {}
    for row in rows:
        assert row["vendor_id"] is not None, "filtered by id"
        found[row["vendor_id"]] = (row["hour"], row["minute"])
    return found


def _pairs(rows: Any) -> dict[UUID, int]:
    return {row["vendor_id"]: row["n"] for row in rows}
