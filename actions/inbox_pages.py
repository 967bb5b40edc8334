"""The only place that words what a person was told in the console."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.urls import reverse

from actions.inbox import Box
from actions.models import Delivery
from actions.states import DeliveryKind
from incidents.presentation.figures import Turned
from incidents.presentation.shapes import Pill, Tab

PAGE_SIZE = 50
PILLS = {
    DeliveryKind.TRIGGERED: Pill("escalated", "arrow-up", "Escalated"),
    DeliveryKind.ACKNOWLEDGED: Pill("acknowledged", "eye", "Acknowledged"),
    DeliveryKind.RESOLVED: Pill("resolved", "check", "Over"),
    DeliveryKind.NOTICE: Pill("acknowledged", "info", "Notice"),
    DeliveryKind.TEST: Pill("snoozed", "info", "Test"),
}
TABS = {"unread": "Unread", "all": "All"}


@dataclass(frozen=True)
class Message:
    id: UUID
    subject: str
    says: str
    url: str
    pill: Pill
    at: datetime
    is_unread: bool
    read_url: str


@dataclass(frozen=True)
class InboxPage(Turned):
    """`newest` is what "all" means to who looks at it: one that comes meanwhile stays unread."""

    messages: tuple[Message, ...]
    newest: UUID | None

    @property
    def has_unread(self) -> bool:
        return any(message.is_unread for message in self.messages)


def page(box: Box, number: int, *, tab: str) -> InboxPage:
    """Newest first."""
    start = (number - 1) * PAGE_SIZE
    asked = box.unread if tab == "unread" else box.messages
    found = list(asked.select_related("incident").order_by("-id")[start : start + PAGE_SIZE + 1])
    return InboxPage(
        messages=tuple(_message(one) for one in found[:PAGE_SIZE]),
        number=number,
        has_next=len(found) > PAGE_SIZE,
        newest=found[0].pk if found else None,
    )


def tabs(current: str) -> tuple[Tab, ...]:
    here = reverse("actions:inbox")
    return tuple(
        Tab(slug, label, f"{here}?tab={slug}", None, slug == current)
        for slug, label in TABS.items()
    )


def _message(delivery: Delivery) -> Message:
    return Message(
        id=delivery.pk,
        subject=delivery.subject,
        says=_gist(delivery),
        url=delivery.incident.get_absolute_url() if delivery.incident else "",
        pill=PILLS.get(DeliveryKind(delivery.kind), PILLS[DeliveryKind.NOTICE]),
        at=delivery.created_at,
        is_unread=delivery.read_at is None,
        read_url=reverse("actions:read", args=[delivery.pk]),
    )


def _gist(delivery: Delivery) -> str:
    """Its paragraphs but the title, which the subject has, and the address, which is the row's link."""
    parts = [part.strip() for part in delivery.text.split("\n\n")]
    told = [part for part in parts if part and part not in delivery.subject]
    return " ".join(part for part in told if not part.startswith("Open it at "))
