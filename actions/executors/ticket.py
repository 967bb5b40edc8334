"""The incident's ticket in a tracker elsewhere: asked for once, and tried again from the outbox for a day."""

from actions import outbox, tickets
from actions.executors import notify
from actions.executors.base import Call, Result
from actions.states import DeliveryKind
from tenants import scoping


def perform(call: Call) -> Result:
    """Succeeded once the tracker has it; asking for one that is there succeeds at once."""
    with scoping.bound(call.tenant_id, durable=True) as now:
        action, incident, channel = notify.subjects(call)
        delivery = outbox.tell(
            tenant_id=call.tenant_id,
            kind=DeliveryKind.TICKET_OPEN,
            target=channel,
            subject=f"{incident} {incident.severity}: {incident.title}",
            text=tickets.text_of(incident, str(call.body.get("text") or "")),
            dedupe_key="",
            incident=incident,
            action=action,
            now=now,
        )
    return notify.sent(call.tenant_id, delivery.pk)
