"""Where people are told, what they were told, and the tickets kept elsewhere: the outbox and its log in one."""

from typing import TYPE_CHECKING, ClassVar, Self

from django.conf import settings
from django.db import models

from actions.models.action import Action
from actions.states import ChannelKind, DeliveryKind, DeliveryStatus, TicketStatus
from awfdrs_site.lib.ids import uuid7
from incidents.models import Incident
from tenants.models import TenantKey, TenantOwned


class Channel(TenantOwned):
    """A destination of the tenant: what was typed goes through the guarded transport."""

    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=20, choices=ChannelKind.choices)
    url = models.URLField(max_length=2000, blank=True)
    address = models.EmailField(blank=True)
    secret_sealed = models.TextField(blank=True, editable=False)  # routing key, token, signing key
    config = models.JSONField(default=dict, blank=True)  # e.g. repository and labels of tickets
    is_active = models.BooleanField(default=True)
    group_wait_seconds = models.PositiveIntegerField(
        default=10, help_text="What comes within this time of the first goes out as one message."
    )
    hourly_cap = models.PositiveIntegerField(
        default=60, help_text="More than this many an hour are kept for one digest."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(fields=["tenant", "name"], name="one_channel_per_name"),
            models.CheckConstraint(
                condition=models.Q(kind__in=ChannelKind.values), name="channel_kind_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class PlatformChannel(models.Model):
    """A destination of platform staff, spoken to by Apprise: no tenant ever typed its URL."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100, unique=True)
    url_sealed = models.TextField(editable=False)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name

    if TYPE_CHECKING:
        objects: ClassVar[models.Manager[Self]]


class Delivery(TenantOwned):
    """One thing one destination shall hear: written with the change, sent at least once, kept as the log."""

    kind = models.CharField(max_length=15, choices=DeliveryKind.choices)
    status = models.CharField(
        max_length=12, choices=DeliveryStatus.choices, default=DeliveryStatus.PENDING
    )
    dedupe_key = models.CharField(max_length=200)
    channel = TenantKey(Channel, null=True, related_name="deliveries")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+"
    )
    incident = TenantKey(Incident, null=True, related_name="deliveries")
    action = TenantKey(Action, null=True, related_name="deliveries")
    subject = models.CharField(max_length=200)
    text = models.TextField()
    sent_with = TenantKey("self", null=True, related_name="carries")  # the one it was grouped into
    attempts_made = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    lease_token = models.BigIntegerField(null=True)
    lease_until = models.DateTimeField(null=True)
    response_status = models.PositiveSmallIntegerField(null=True)
    response_excerpt = models.TextField(blank=True)
    latency_ms = models.PositiveIntegerField(null=True)
    error = models.CharField(max_length=500, blank=True)
    correlation_id = models.CharField(max_length=128, blank=True)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    read_at = models.DateTimeField(null=True)  # by a person, in the console
    version = models.PositiveBigIntegerField(default=1)

    class Meta(TenantOwned.Meta):
        verbose_name_plural = "deliveries"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(
                fields=["tenant", "dedupe_key"], name="one_delivery_per_purpose"
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=DeliveryStatus.values), name="delivery_status_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # the outbox
            models.Index(
                fields=["due_at", "id"],
                condition=models.Q(status=DeliveryStatus.PENDING),
                name="delivery_due",
            ),
            # what a worker that died was sending
            models.Index(
                fields=["lease_until"],
                condition=models.Q(status=DeliveryStatus.SENDING),
                name="delivery_lease",
            ),
            # the members of one message
            models.Index(
                fields=["tenant", "sent_with"],
                condition=models.Q(sent_with__isnull=False),
                name="delivery_carried",
            ),
            # how much of their inbox a person has not read, on every page
            models.Index(
                fields=["tenant", "user", "-id"],
                condition=models.Q(user__isnull=False, read_at__isnull=True),
                name="delivery_unread",
            ),
            # what the auditor says was given up
            models.Index(
                fields=["-id"],
                condition=models.Q(status=DeliveryStatus.FAILED),
                name="delivery_given_up",
            ),
            # the log, a channel's last hour, a person's inbox
            models.Index(fields=["tenant", "-id"], name="delivery_log"),
            models.Index(fields=["tenant", "channel", "-sent_at"], name="delivery_of_channel"),
            models.Index(fields=["tenant", "user", "-id"], name="delivery_inbox"),
            models.Index(fields=["tenant", "incident", "-id"], name="delivery_of_incident"),
        ]

    def __str__(self) -> str:
        return self.subject


class Ticket(TenantOwned):
    """An incident's issue in a tracker elsewhere: one per incident and tracker, closed with it."""

    incident = TenantKey(Incident, related_name="tickets")
    channel = TenantKey(Channel, related_name="tickets")
    action = TenantKey(Action, null=True, related_name="+")
    status = models.CharField(
        max_length=10, choices=TicketStatus.choices, default=TicketStatus.OPENING
    )
    external_id = models.CharField(max_length=200, blank=True)
    url = models.URLField(max_length=2000, blank=True)
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    version = models.PositiveBigIntegerField(default=1)

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(
                fields=["tenant", "incident", "channel"], name="one_ticket_per_incident"
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=TicketStatus.values), name="ticket_status_known"
            ),
        ]

    def __str__(self) -> str:
        return self.external_id or f"ticket {self.id}"
