"""The only place that knows what a person was told in the console, and what of it they have read."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from actions.models import Delivery

COUNTED = 100  # more unread than that is "99+"


@dataclass(frozen=True)
class Box:
    """Whose messages, of which tenant: nobody reads another one's."""

    tenant_id: UUID
    user_id: int

    @property
    def messages(self) -> "QuerySet[Delivery]":
        mine: QuerySet[Delivery] = Delivery.objects.for_tenant(self.tenant_id)
        return mine.filter(user_id=self.user_id)

    @property
    def unread(self) -> "QuerySet[Delivery]":
        return self.messages.filter(read_at=None)


def n_unread(box: Box) -> int:
    """Up to COUNTED."""
    return box.unread[:COUNTED].count()


def read(box: Box, delivery_id: UUID, *, now: datetime) -> bool:
    """Quiet when it was read already; False when it is not theirs."""
    box.unread.filter(pk=delivery_id).update(read_at=now)
    return box.messages.filter(pk=delivery_id).exists()


def read_all(box: Box, *, until: UUID, now: datetime) -> int:
    """What was on the page and older: one that came meanwhile stays unread."""
    return box.unread.filter(pk__lte=until).update(read_at=now)
