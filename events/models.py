"""What was reported: immutable events, the keys that make them idempotent, and the inbox of undigested ones."""

from typing import ClassVar

from django.db import models

from events.count_models import IngestDelta as IngestDelta
from events.count_models import IngestHour as IngestHour
from events.quarantine_models import QuarantinedEvent as QuarantinedEvent
from tenants.models import Tenant, TenantKey, TenantOwned, Workflow
from tenants.querysets import TenantQuerySet


class Reported(TenantOwned):
    """What an event says, wherever it is kept."""

    workflow = TenantKey(Workflow, related_name="+")
    event_type = models.CharField(max_length=255)
    payload = models.JSONField()
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    run_ref = models.CharField(max_length=200, blank=True)
    schema_version = models.CharField(max_length=20)
    extra = models.JSONField(default=dict)
    vendor_name = models.CharField(max_length=100, blank=True)
    correlation_id = models.CharField(max_length=128)

    class Meta(TenantOwned.Meta):
        abstract = True

    def __str__(self) -> str:
        return f"{self.event_type} {self.id}"


class Event(Reported):
    """One report, never changed. Partitioned by day on its UUIDv7 id; nothing has a foreign key to it."""

    class Meta(Reported.Meta):
        indexes: ClassVar[list[models.Index]] = [
            # the events list of a tenant, newest first, and its workflow filter
            models.Index(fields=["tenant", "-id"], name="event_by_id"),
            models.Index(fields=["tenant", "workflow", "-id"], name="event_by_workflow"),
        ]


class KeptEvent(Reported):
    """A copy of an event, with its id, made before its partition was dropped: an incident is explained by it."""


class EventKey(models.Model):
    """Owns idempotency: one event per (tenant, key), with what it takes to answer a replay byte for byte."""

    pk = models.CompositePrimaryKey("tenant_id", "key_hash")
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    key_hash = models.BinaryField(max_length=32)
    event_id = models.UUIDField()
    field_digests = models.JSONField()
    correlation_id = models.CharField(max_length=128)
    warnings = models.JSONField(default=list)

    objects = TenantQuerySet.as_manager()

    def __str__(self) -> str:
        return f"key of {self.event_id}"


class PendingEvent(TenantOwned):
    """The inbox: an event (same id) not digested yet. Claimed by lease, deleted by the digest."""

    received_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_token = models.BigIntegerField(null=True)
    lease_until = models.DateTimeField(null=True)
    poisoned_at = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        indexes: ClassVar[list[models.Index]] = [
            # the digest's claim, oldest first
            models.Index(
                fields=["id"], condition=models.Q(poisoned_at=None), name="pending_in_order"
            )
        ]

    def __str__(self) -> str:
        return f"pending {self.id}"
