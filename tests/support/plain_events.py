"""The only place that puts an event into its day by itself, past the door and the store."""

from datetime import datetime
from uuid import UUID

from awfdrs_site.lib.ids import uuid7
from events.models import Event
from tenants.models import Tenant, Workflow


def add_event(tenant: Tenant, workflow: Workflow, *, at: datetime, id: UUID | None = None) -> None:
    Event.objects.create(
        id=id or uuid7(at),
        tenant=tenant,
        workflow=workflow,
        event_type="x.failed",
        payload={},
        occurred_at=at,
        received_at=at,
        schema_version="1.0.0",
        correlation_id="c",
    )
