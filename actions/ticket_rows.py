"""The only writer of what a tracker elsewhere told us of an incident's ticket."""

from datetime import datetime

from actions.models import Action, Channel, Delivery, Ticket
from actions.states import ChannelKind, DeliveryKind, TicketStatus
from incidents.models import Incident
from tenants import journal
from tenants.journal import SYSTEM

KINDS = (DeliveryKind.TICKET_OPEN, DeliveryKind.TICKET_CLOSE)
TRACKERS = (ChannelKind.GITHUB, ChannelKind.TICKET)
# What opens a ticket where a tracker is told of it.
OPENS = (DeliveryKind.TRIGGERED, DeliveryKind.NOTICE, DeliveryKind.TICKET_OPEN)


def wanted(incident: Incident, channel: Channel, *, action: Action | None, now: datetime) -> Ticket:
    """The incident's one ticket of this tracker, locked; one that was closed is on its way to open again."""
    fresh = Ticket(
        tenant_id=incident.tenant_id,
        incident=incident,
        channel=channel,
        action=action,
        created_at=now,
    )
    Ticket.objects.bulk_create([fresh], ignore_conflicts=True)
    mine = Ticket.objects.for_tenant(incident.tenant_id).select_for_update(of=("self",))
    ticket: Ticket = mine.get(incident=incident, channel=channel)
    if ticket.status in (TicketStatus.CLOSED, TicketStatus.CLOSING):
        move(ticket, TicketStatus.OPENING)
    return ticket


def key_of(ticket: Ticket, kind: DeliveryKind) -> str:
    """Each opening and each closing is said once: they alternate, so counting the closings numbers both."""
    mine = Delivery.objects.for_tenant(ticket.tenant_id)
    closings = f"ticket:{ticket.pk}:{DeliveryKind.TICKET_CLOSE}:"
    n_closed = mine.filter(dedupe_key__startswith=closings).exclude(dedupe_key__contains="#again:")
    return f"ticket:{ticket.pk}:{kind}:{n_closed.count()}"


def of(delivery: Delivery, *, lock: bool = False) -> Ticket | None:
    """The ticket that a delivery opens or closes."""
    mine = Ticket.objects.for_tenant(delivery.tenant_id).filter(
        incident=delivery.incident, channel=delivery.channel
    )
    found: Ticket | None = (mine.select_for_update(of=("self",)) if lock else mine).first()
    return found


def move(ticket: Ticket, status: TicketStatus) -> None:
    """Put a locked ticket on its way."""
    ticket.status, ticket.version = status, ticket.version + 1
    ticket.save(update_fields=["status", "version"])
    journal.announce(ticket)


def settle(delivery: Delivery, *, external_id: str, url: str, now: datetime) -> None:
    """The tracker did what was asked: keep its name for the ticket, and tell the incident's timeline."""
    ticket = of(delivery, lock=True)
    if ticket is None:
        return
    is_open = delivery.kind == DeliveryKind.TICKET_OPEN
    ticket.status = TicketStatus.OPEN if is_open else TicketStatus.CLOSED
    ticket.external_id = external_id or ticket.external_id
    ticket.url = url or ticket.url
    ticket.closed_at = None if is_open else now
    ticket.version += 1
    ticket.save()
    journal.record(
        ticket.incident,
        "ticket_opened" if is_open else "ticket_closed",
        by=SYSTEM,
        at=now,
        ticket=ticket.external_id,
        url=ticket.url,
        channel=str(ticket.channel),
    )
