"""The only writer of deliveries: what somebody shall hear is a row of the change's own transaction, sent from there."""

from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from actions.models import Action, Channel, Delivery
from actions.states import DeliveryKind
from awfdrs_site.lib import correlation
from awfdrs_site.lib.wake import wake
from incidents.models import Incident
from tenants import journal

KEPT_FOR = timedelta(hours=24)  # a destination that is down this long has lost the message
SUBJECT_CHARACTERS = 200


def tell(
    *,
    tenant_id: UUID,
    kind: DeliveryKind,
    target: Channel | User,
    subject: str,
    text: str,
    dedupe_key: str,
    now: datetime,
    incident: Incident | None = None,
    action: Action | None = None,
) -> Delivery:
    """Say it once per `dedupe_key`, in the caller's transaction; who was told already is returned as told."""
    channel = target if isinstance(target, Channel) else None
    delivery = Delivery(
        tenant_id=tenant_id,
        kind=kind,
        dedupe_key=dedupe_key,
        channel=channel,
        user=None if isinstance(target, Channel) else target,
        incident=incident,
        action=action,
        subject=subject[:SUBJECT_CHARACTERS],
        text=text,
        due_at=now + timedelta(seconds=channel.group_wait_seconds if channel else 0),
        expires_at=now + KEPT_FOR,
        correlation_id=correlation.current(),
        created_at=now,
    )
    Delivery.objects.bulk_create([delivery], ignore_conflicts=True)
    stored: Delivery = Delivery.objects.for_tenant(tenant_id).get(dedupe_key=dedupe_key)
    if stored.pk == delivery.pk:
        journal.announce(stored)
        transaction.on_commit(_wake)
    return stored


def _wake() -> None:
    wake("actions.tasks.send_deliveries", queue="actions")
