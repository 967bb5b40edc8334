"""The only place that words an incident's escalation: who was told, when, and who is next."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from actions.models import Delivery, Escalation
from actions.states import DeliveryKind, DeliveryStatus, EscalationStatus, Status
from incidents.models import Incident
from incidents.presentation.shapes import Badge, Pill

SHOWN, TOLD_SHOWN = 3, 20
PILLS = {
    EscalationStatus.RUNNING: Pill("escalated", "arrow-up", "Telling people"),
    EscalationStatus.ACKNOWLEDGED: Pill("acknowledged", "eye", "Acknowledged"),
    EscalationStatus.ENDED: Pill("snoozed", "check", "Ended"),
}
KINDS = {
    DeliveryKind.TRIGGERED: "told",
    DeliveryKind.ACKNOWLEDGED: "told that it is acknowledged",
    DeliveryKind.RESOLVED: "told that it is over",
    DeliveryKind.TICKET_OPEN: "ticket",
    DeliveryKind.TICKET_CLOSE: "ticket closed",
}
BADGES = {
    DeliveryStatus.PENDING: Badge("wait", "waiting"),
    DeliveryStatus.SENDING: Badge("wait", "on its way"),
    DeliveryStatus.SENT: Badge("good", "sent"),
    DeliveryStatus.GROUPED: Badge("good", "sent with others"),
    DeliveryStatus.FAILED: Badge("bad", "not sent"),
}


@dataclass(frozen=True)
class Told:
    """One thing one of them heard, or will."""

    whom: str
    what: str
    badge: Badge
    says: str
    at: datetime


@dataclass(frozen=True)
class EscalationLine:
    id: UUID
    policy: str
    pill: Pill
    next: str
    at: datetime | None
    told: tuple[Told, ...]
    is_open: bool


def of_incident(incident: Incident) -> tuple[EscalationLine, ...]:
    """The latest first; two queries however many there are."""
    mine = Escalation.objects.for_tenant(incident.tenant_id).filter(incident=incident)
    found = list(mine.select_related("action").order_by("-id")[:SHOWN])
    told = _told(incident, found) if found else {}
    return tuple(_line(one, told.get(one.action_id, [])) for one in found)


def says_next(escalation: Escalation) -> tuple[str, datetime | None]:
    """What happens next and when: the moment stands behind the words."""
    if escalation.ended_at is not None:
        return "The incident is over", None
    if escalation.action.status == Status.REVERSED:
        return "Taken back: nobody else is told", None
    whom = escalation.steps[escalation.step]["name"]
    if escalation.status == EscalationStatus.ACKNOWLEDGED:
        if escalation.next_at is None:
            return "Acknowledged: nobody else is told", None
        return f"still open then, next: {whom} in", escalation.next_at
    if escalation.next_at is None:
        return "Everybody was told and nobody acknowledged", None
    return f"next: {whom} in", escalation.next_at


def _told(incident: Incident, escalations: Iterable[Escalation]) -> dict[UUID, list[Delivery]]:
    mine = Delivery.objects.for_tenant(incident.tenant_id).select_related("channel", "user")
    told: dict[UUID, list[Delivery]] = defaultdict(list)
    actions = [escalation.action_id for escalation in escalations]
    for delivery in mine.filter(action_id__in=actions).order_by("-id")[: SHOWN * TOLD_SHOWN]:
        assert delivery.action_id is not None, "they were asked for by their action"
        told[delivery.action_id].append(delivery)
    return told


def _line(escalation: Escalation, deliveries: list[Delivery]) -> EscalationLine:
    words, at = says_next(escalation)
    return EscalationLine(
        id=escalation.pk,
        policy=_policy(escalation),
        pill=PILLS[EscalationStatus(escalation.status)],
        next=words,
        at=at,
        told=tuple(_heard(delivery) for delivery in deliveries[:TOLD_SHOWN]),
        is_open=escalation.ended_at is None,
    )


def _policy(escalation: Escalation) -> str:
    if escalation.policy_name:
        return f"Policy {escalation.policy_name}."
    return "No policy applies: everybody who may act is told, and twice again."


def _heard(delivery: Delivery) -> Told:
    whom = delivery.channel or (delivery.user and delivery.user.get_username())
    return Told(
        whom=str(whom),
        what=KINDS.get(DeliveryKind(delivery.kind), delivery.kind),
        badge=BADGES[DeliveryStatus(delivery.status)],
        says=delivery.error or delivery.response_excerpt,
        at=delivery.sent_at or delivery.created_at,
    )
