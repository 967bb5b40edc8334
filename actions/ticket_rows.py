"""The only writer of what a tracker elsewhere told us of an incident's ticket."""

from datetime import datetime

from actions.models import Delivery, Ticket
from actions.states import DeliveryKind, TicketStatus
from tenants import journal
from tenants.journal import SYSTEM

KINDS = (DeliveryKind.TICKET_OPEN, DeliveryKind.TICKET_CLOSE)


def of(delivery: Delivery, *, lock: bool = False) -> Ticket | None:
    """The ticket that a delivery opens or closes."""
    mine = Ticket.objects.for_tenant(delivery.tenant_id).filter(
        incident=delivery.incident, channel=delivery.channel
    )
    found: Ticket | None = (mine.select_for_update(of=("self",)) if lock else mine).first()
    return found


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
