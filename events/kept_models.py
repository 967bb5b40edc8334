"""The only table of events that outlive their day's partition: those an incident is explained by."""

from django.db import models

from tenants.models import TenantKey, TenantOwned, Workflow


class KeptEvent(TenantOwned):
    """A copy of an event, with its id, made before its partition was dropped."""

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

    def __str__(self) -> str:
        return f"{self.event_type} {self.id}"
