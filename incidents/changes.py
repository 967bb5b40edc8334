"""The only place that takes down what people changed: deploys and the like, for analysis to join with onsets."""

from datetime import datetime
from uuid import UUID

from incidents.models import Change
from tenants import journal
from tenants.journal import Actor
from tenants.models import Vendor, Workflow


def record(
    *,
    tenant_id: UUID,
    kind: str,
    summary: str,
    occurred_at: datetime,
    workflow: Workflow | None = None,
    vendor: Vendor | None = None,
    by: Actor,
    now: datetime,
) -> Change:
    """Told twice it is two changes: nobody can say whether a second deploy of the same name was none."""
    change = Change(
        tenant_id=tenant_id,
        kind=kind,
        summary=summary,
        workflow=workflow,
        vendor=vendor,
        occurred_at=occurred_at,
        created_at=now,
        created_by=by.label,
    )
    change.save(force_insert=True)
    journal.record(
        change,
        "change_recorded",
        by=by,
        at=now,
        kind=kind,
        summary=summary,
        workflow=workflow.slug if workflow else None,
        vendor=vendor.name if vendor else None,
        occurred_at=occurred_at.isoformat(),
    )
    return change
