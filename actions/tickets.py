"""The only place that lets an incident's ticket in a tracker elsewhere follow the incident."""

from datetime import datetime
from uuid import UUID

from actions import outbox, ticket_rows
from actions.models import Ticket
from actions.states import DeliveryKind, TicketStatus
from awfdrs_site.lib import links, sweeping
from incidents.models import Incident
from incidents.states import OPEN
from tenants import scoping

SWEEP = 100

# Open tickets of incidents that are over, and closed ones whose incident came back.
_MOVED = """
(select ticket.tenant_id, ticket.id from actions_ticket ticket
 join incidents_incident incident
   on incident.tenant_id = ticket.tenant_id and incident.id = ticket.incident_id
 where ticket.status = 'open' and incident.status in ('resolved', 'ignored')
 order by ticket.id limit %(limit)s)
union all
(select ticket.tenant_id, ticket.id from incidents_incident incident
 join actions_ticket ticket
   on ticket.tenant_id = incident.tenant_id and ticket.incident_id = incident.id
 where incident.status in ('detected', 'analyzing', 'escalated') and ticket.status = 'closed'
 order by ticket.id limit %(limit)s)
"""


def follow_due(*, limit: int = SWEEP) -> int:
    """The sweep: a ticket closes with its incident and opens again when that comes back; returns how many."""
    due = scoping.found(_MOVED, {"limit": limit})
    return sweeping.each(due, _follow)


def text_of(incident: Incident, what: str = "") -> str:
    """What a ticket says of its incident."""
    said = what or incident.escalated_reason or incident.title
    return (
        f"{said}\n\nSeverity {incident.severity}, workflow {incident.workflow.slug}, "
        f"{incident.event_count} events, {incident.unrecovered_runs} runs not recovered.\n"
        f"{incident} in AWFDRS: {links.absolute(incident.get_absolute_url())}"
    )


def _follow(tenant_id: UUID, ticket_id: UUID) -> None:
    with scoping.bound(tenant_id, durable=True) as now:
        mine = Ticket.objects.for_tenant(tenant_id).select_for_update(of=("self",))
        ticket: Ticket = mine.select_related("incident__workflow", "channel").get(pk=ticket_id)
        incident = ticket.incident
        is_open = incident.status in OPEN
        if is_open and ticket.status == TicketStatus.CLOSED:
            text = text_of(incident, f"It is back: {incident.title}")
            _tell(ticket, DeliveryKind.TICKET_OPEN, text, now=now)
        elif not is_open and ticket.status == TicketStatus.OPEN:
            text = f"{incident} is {incident.status}. {incident.resolved_reason}".strip()
            _tell(ticket, DeliveryKind.TICKET_CLOSE, text, now=now)
            ticket_rows.move(ticket, TicketStatus.CLOSING)


def _tell(ticket: Ticket, kind: DeliveryKind, text: str, *, now: datetime) -> None:
    incident = ticket.incident
    outbox.tell(
        tenant_id=ticket.tenant_id,
        kind=kind,
        target=ticket.channel,
        subject=f"{incident} {incident.severity}: {incident.title}",
        text=text,
        dedupe_key=ticket_rows.key_of(ticket, kind),
        incident=incident,
        now=now,
    )
