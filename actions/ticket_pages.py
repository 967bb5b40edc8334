"""The only place that words an incident's tickets for the console."""

from dataclasses import dataclass

from actions.models import Ticket
from actions.states import TicketStatus
from incidents.models import Incident
from incidents.presentation.shapes import Pill

PILLS = {
    TicketStatus.OPENING: Pill("acknowledged", "clock", "Being opened"),
    TicketStatus.OPEN: Pill("open", "circle-alert", "Open"),
    TicketStatus.CLOSING: Pill("acknowledged", "clock", "Being closed"),
    TicketStatus.CLOSED: Pill("recovering", "check", "Closed"),
}


@dataclass(frozen=True)
class TicketLine:
    name: str
    tracker: str
    url: str  # empty where the tracker gave none
    pill: Pill


def of_incident(incident: Incident) -> list[TicketLine]:
    """One for each tracker, oldest first."""
    mine = Ticket.objects.for_tenant(incident.tenant_id).filter(incident=incident)
    return [
        TicketLine(
            name=f"Ticket {ticket.external_id}".strip(),
            tracker=str(ticket.channel),
            url=ticket.url,
            pill=PILLS[TicketStatus(ticket.status)],
        )
        for ticket in mine.select_related("channel").order_by("id")
    ]
