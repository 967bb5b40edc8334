"""The only place that decides what goes out together and when: grouping, hourly caps and the order of one incident."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, Sum

from actions import ticket_rows
from actions.channels import About, Destination, Item, Message
from actions.models import Channel, Delivery
from actions.states import ChannelKind, DeliveryKind, DeliveryStatus
from awfdrs_site.lib import links
from incidents.models import Incident
from incidents.states import Severity
from tenants import secrets
from tenants.secrets import SecretUnreadable

# Alerts and tickets are one per incident over there: each is said by itself, and in its order.
GROUPED = (ChannelKind.EMAIL, ChannelKind.SLACK, ChannelKind.WEBHOOK)
ORDERED = (ChannelKind.PAGERDUTY, ChannelKind.GITHUB, ChannelKind.TICKET)
AT_ONCE = (DeliveryKind.TEST,)
DIGEST_LIMIT = 200  # one message's worth; what is more makes the next one
HOUR = timedelta(hours=1)
TURN = timedelta(seconds=2)

Gathered = tuple[Delivery | None, list[Delivery]]


def wait_of(channel: Channel | None, kind: DeliveryKind) -> timedelta:
    """How long it waits for what comes with it."""
    if channel is None or channel.kind not in GROUPED or kind in AT_ONCE:
        return timedelta(0)
    return timedelta(seconds=channel.group_wait_seconds)


def gather(*, tenant_id: UUID, delivery_id: UUID, token: int) -> Gathered:
    """The claimed one and what goes with it; one worker at a time gathers of one channel.

    Before the first try these are all that wait for the channel. From then on the message is what it was: a
    receiver that drops a second copy by its id would drop what was added to it.
    """
    mine = Delivery.objects.for_tenant(tenant_id)
    peek: Delivery | None = mine.select_related("channel").filter(pk=delivery_id).first()
    if peek is None or peek.channel is None or peek.attempts_made or not _is_grouped(peek):
        return carried(tenant_id=tenant_id, delivery_id=delivery_id, token=token)
    # The channel's row is the turnstile: two that gather at once would each take half.
    Channel.objects.for_tenant(tenant_id).select_for_update(no_key=True).get(pk=peek.channel.pk)
    first, _ = _split(_locked(mine.filter(pk=delivery_id)), delivery_id, token)
    if first is None:
        return None, []
    fresh = mine.filter(
        channel=peek.channel,
        status=DeliveryStatus.PENDING,
        attempts_made=0,
        sent_with__isnull=True,
    )
    return first, _locked(fresh.exclude(pk=first.pk).exclude(kind__in=AT_ONCE), DIGEST_LIMIT - 1)


def carried(*, tenant_id: UUID, delivery_id: UUID, token: int) -> Gathered:
    """The claimed one and what its message already carries."""
    mine = Delivery.objects.for_tenant(tenant_id)
    members = Q(sent_with=delivery_id, status=DeliveryStatus.PENDING)
    locked = _locked(mine.filter(Q(pk=delivery_id) | members))
    return _split(locked, delivery_id, token)


def hold_of(
    first: Delivery, others: Sequence[Delivery], *, now: datetime
) -> tuple[datetime | None, str]:
    """Until when it is held back, and why; what was tried once, what is critical and a test never are."""
    if first.channel is None or first.kind in AT_ONCE:
        return None, ""
    if first.channel.kind in ORDERED and (before := _before(first)) is not None:
        return max(now, before.due_at) + TURN, f"After the one before it: {before.subject}"
    if first.attempts_made or any(_is_critical(each) for each in (first, *others)):
        return None, ""
    return _over_cap(first.channel, now=now)


def message_of(first: Delivery, others: Sequence[Delivery]) -> Message:
    """Everything the call needs, read within the transaction that starts it."""
    ticket = ticket_rows.of(first) if first.kind in ticket_rows.KINDS else None
    to, refusal = _destination(first)
    return Message(
        to=to,
        items=[_item(each) for each in (first, *others)],
        correlation_id=first.correlation_id,
        attempt=_tries(first) if ticket else first.attempts_made,
        ticket_id=ticket.external_id if ticket else "",
        refusal=refusal,
    )


def name_of(delivery: Delivery) -> str:
    """Whom it is for, for people."""
    if delivery.channel is not None:
        return str(delivery.channel)
    return delivery.user.get_username() if delivery.user else ""


def _locked(deliveries: Any, limit: int = DIGEST_LIMIT) -> list[Delivery]:
    held = deliveries.order_by("id").select_for_update(of=("self",))
    about = held.select_related("channel", "user", "incident__workflow", "incident__vendor")
    return list(about[:limit])


def _split(locked: Sequence[Delivery], delivery_id: UUID, token: int) -> Gathered:
    first = next((each for each in locked if each.pk == delivery_id), None)
    open_states = (DeliveryStatus.PENDING, DeliveryStatus.SENDING)
    if first is None or first.lease_token != token or first.status not in open_states:
        return None, []
    if first.sent_with_id is not None:  # taken along by another one meanwhile
        return None, []
    return first, [each for each in locked if each.pk != delivery_id]


def _is_grouped(delivery: Delivery) -> bool:
    channel = delivery.channel
    return channel is not None and channel.kind in GROUPED and delivery.kind not in AT_ONCE


def _is_critical(delivery: Delivery) -> bool:
    return delivery.incident is not None and delivery.incident.severity == Severity.CRITICAL


def _before(delivery: Delivery) -> Delivery | None:
    """An alert that opens after it was closed would stay open for ever: what was said first goes first."""
    if delivery.incident_id is None:
        return None
    mine = Delivery.objects.for_tenant(delivery.tenant_id).filter(
        channel=delivery.channel,
        incident=delivery.incident,
        id__lt=delivery.pk,
        status__in=(DeliveryStatus.PENDING, DeliveryStatus.SENDING),
    )
    found: Delivery | None = mine.order_by("id").first()
    return found


def _over_cap(channel: Channel, *, now: datetime) -> tuple[datetime | None, str]:
    recent = Delivery.objects.for_tenant(channel.tenant_id).filter(
        channel=channel, status=DeliveryStatus.SENT, sent_at__gt=now - HOUR
    )
    newest = recent.order_by("-sent_at").values_list("sent_at", flat=True)
    sent_at = [at for at in newest[: channel.hourly_cap] if at is not None]
    if len(sent_at) < channel.hourly_cap:
        return None, ""
    # A cap of nothing holds everything that is not critical, and asks again in an hour.
    frees_at = sent_at[-1] + HOUR if sent_at else now + HOUR
    return frees_at, f"Kept for one digest: {channel.hourly_cap} messages an hour are the limit."


def _tries(delivery: Delivery) -> int:
    """Of all deliveries of one ticket: whether an earlier one may have made it already."""
    mine = Delivery.objects.for_tenant(delivery.tenant_id).filter(
        channel=delivery.channel, incident=delivery.incident, kind=delivery.kind
    )
    return int(mine.aggregate(tries=Sum("attempts_made"))["tries"] or 0)


def _destination(delivery: Delivery) -> tuple[Destination, str]:
    channel = delivery.channel
    if channel is None:
        user = delivery.user
        address = user.email if user is not None and user.is_active else ""
        return Destination(kind=ChannelKind.EMAIL, address=address), ""
    refusal = "" if channel.is_active else "The channel is switched off."
    secret = ""
    try:
        if channel.secret_sealed:
            secret = secrets.open_sealed(
                channel.secret_sealed, tenant_id=channel.tenant_id, row_id=channel.pk
            )
    except SecretUnreadable as unreadable:
        refusal = str(unreadable)
    to = Destination(
        kind=channel.kind,
        url=channel.url,
        address=channel.address,
        secret=secret,
        config=channel.config,
    )
    return to, refusal


def _item(delivery: Delivery) -> Item:
    return Item(
        id=str(delivery.pk),
        kind=delivery.kind,
        subject=delivery.subject,
        text=delivery.text,
        at=delivery.created_at,
        about=_about(delivery.incident) if delivery.incident else None,
    )


def _about(incident: Incident) -> About:
    return About(
        id=str(incident.pk),
        number=str(incident),
        title=incident.title,
        status=incident.status,
        severity=incident.severity,
        category=incident.category,
        error_code=incident.error_code,
        workflow=incident.workflow.slug,
        vendor=incident.vendor.name if incident.vendor else None,
        event_count=incident.event_count,
        unrecovered_runs=incident.unrecovered_runs,
        url=links.absolute(incident.get_absolute_url()),
    )
