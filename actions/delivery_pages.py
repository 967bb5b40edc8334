"""The only place that gathers and words the delivery log of the console."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.urls import reverse

from actions import delivery_grouping
from actions.delivery_forms import DeliveryFilterForm
from actions.models import Delivery
from actions.outbox import RESENDABLE
from actions.states import DeliveryStatus
from incidents import console
from incidents.presentation.figures import Numbered
from incidents.presentation.shapes import Pill

PAGE_SIZE = 50
EXCERPT_CHARACTERS = 160
PILLS = {
    DeliveryStatus.PENDING: Pill("acknowledged", "clock", "Waits"),
    DeliveryStatus.SENDING: Pill("recovering", "rotate-cw", "Being sent"),
    DeliveryStatus.SENT: Pill("recovering", "check", "Sent"),
    DeliveryStatus.GROUPED: Pill("recovering", "check", "Sent with others"),
    DeliveryStatus.FAILED: Pill("open", "x", "Failed"),
}


@dataclass(frozen=True)
class DeliveryLine:
    id: UUID
    subject: str
    to: str
    incident: str
    incident_url: str
    pill: Pill
    says: str  # the error or the last answer, as much as a row takes
    tries: int
    due_at: datetime | None
    at: datetime
    resend_url: str


@dataclass(frozen=True)
class DeliveryPage(Numbered):
    lines: tuple[DeliveryLine, ...]


def page(
    tenant_id: UUID, filters: DeliveryFilterForm, number: int, *, may_act: bool
) -> DeliveryPage:
    """Newest first."""
    found = Delivery.objects.for_tenant(tenant_id).order_by("-id")
    for name in ("status", "channel"):
        if filters.cleaned_data[name]:
            found = found.filter(**{name: filters.cleaned_data[name]})
    n_matching = console.up_to(found)
    number = max(1, min(number, -(-n_matching.n // PAGE_SIZE)))
    start = (number - 1) * PAGE_SIZE
    shown = found.select_related("channel", "user", "incident")[start : start + PAGE_SIZE]
    return DeliveryPage(
        lines=tuple(_line(delivery, may_act=may_act) for delivery in shown),
        number=number,
        n_matching=n_matching,
        has_next=start + PAGE_SIZE < n_matching.n,
    )


def _line(delivery: Delivery, *, may_act: bool) -> DeliveryLine:
    incident = delivery.incident
    can_resend = may_act and delivery.status in RESENDABLE
    return DeliveryLine(
        id=delivery.pk,
        subject=delivery.subject,
        to=delivery_grouping.name_of(delivery),
        incident=str(incident) if incident else "",
        incident_url=incident.get_absolute_url() if incident else "",
        pill=PILLS[DeliveryStatus(delivery.status)],
        says=_says(delivery)[:EXCERPT_CHARACTERS],
        tries=delivery.attempts_made,
        due_at=delivery.due_at if delivery.status == DeliveryStatus.PENDING else None,
        at=delivery.created_at,
        resend_url=reverse("deliveries:resend", args=[delivery.pk]) if can_resend else "",
    )


def _says(delivery: Delivery) -> str:
    answer = " ".join(delivery.response_excerpt.split())
    if delivery.error:
        return f"{delivery.error} {answer}".strip()
    status = f"{delivery.response_status} " if delivery.response_status else ""
    return f"{status}{answer}".strip()
