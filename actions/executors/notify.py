"""One message to one channel: written to the outbox once, sent at once, and tried again from there for a day."""

from uuid import UUID

from actions import outbox
from actions.executors.base import Call, Result
from actions.models import Action, Channel, Delivery
from actions.states import DeliveryKind, DeliveryStatus
from awfdrs_site.lib import clock, links
from incidents.models import Incident
from tenants import scoping


def perform(call: Call) -> Result:
    """Succeeded once the destination took it; until then the action waits with its delivery."""
    with scoping.bound(call.tenant_id, durable=True) as now:
        action, incident, channel = subjects(call)
        said = str(call.body.get("text") or "") or incident.title
        delivery = outbox.tell(
            tenant_id=call.tenant_id,
            kind=DeliveryKind.NOTICE,
            target=channel,
            subject=f"{incident} {incident.severity}: {incident.title}",
            text=f"{said}\n\n{incident} in AWFDRS: {links.absolute(incident.get_absolute_url())}",
            dedupe_key=f"action:{call.action_id}",
            incident=incident,
            action=action,
            now=now,
        )
    return sent(call.tenant_id, delivery.pk)


def subjects(call: Call) -> tuple[Action, Incident, Channel]:
    """The action, its incident and the channel it names."""
    mine = Action.objects.for_tenant(call.tenant_id).select_related("incident__workflow")
    action: Action = mine.get(pk=call.action_id)
    channels = Channel.objects.for_tenant(call.tenant_id)
    channel: Channel = channels.get(pk=action.parameters["channel"])
    assert action.incident is not None, "only incidents are told of"
    return action, action.incident, channel


def sent(tenant_id: UUID, delivery_id: UUID) -> Result:
    """Try it now unless somebody is at it, and say how it stands."""
    outbox.send_at_once(tenant_id=tenant_id, delivery_id=delivery_id)
    with scoping.bound(tenant_id, durable=True):
        delivery: Delivery = Delivery.objects.for_tenant(tenant_id).get(pk=delivery_id)
    seen = {
        "response_status": delivery.response_status,
        "excerpt": delivery.response_excerpt,
        "latency_ms": delivery.latency_ms,
        "extra": {"delivery": str(delivery.pk)},
    }
    if delivery.status in (DeliveryStatus.SENT, DeliveryStatus.GROUPED):
        return Result("succeeded", **seen)  # type: ignore[arg-type]
    if delivery.status == DeliveryStatus.FAILED:
        return Result("final", error=delivery.error, **seen)  # type: ignore[arg-type]
    wait = (delivery.due_at - clock.read()).total_seconds()
    error = delivery.error or "It is on its way."
    return Result("retryable", error=error, retry_after_seconds=max(wait, 1.0) + 1.0, **seen)  # type: ignore[arg-type]
