"""Opens, bumps and reopens incidents for a digested batch: one upsert, however many workers see a signature."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from awfdrs_site.lib.ids import uuid7
from incidents import judging, labels, lifecycle, signature
from incidents.analysis.bayes import Model
from incidents.models import Incident
from incidents.querysets import IncidentQuerySet
from incidents.reading import Reading
from incidents.states import Status
from safety import rules
from safety.effective import Override
from tenants import journal
from tenants.journal import SYSTEM
from tenants.models import Vendor

REGRESSION_WINDOW = timedelta(hours=24)

# The partial unique index decides: of a hundred workers that see a new signature one inserts, the rest bump.
_UPSERT = """
with given as (
  select * from json_to_recordset(%s::json) as given (
    id uuid, tenant_id uuid, title text, status text, severity text, category text, error_code text,
    workflow_id uuid, vendor_id uuid, signature text, signature_version smallint, signature_components jsonb,
    classification jsonb, event_count bigint, first_seen_at timestamptz, last_seen_at timestamptz,
    last_event_id uuid, opened_at timestamptz, previous_id uuid)
)
insert into incidents_incident as incident (
  id, tenant_id, title, status, severity, category, error_code, workflow_id, vendor_id, signature,
  signature_version, signature_components, classification, event_count, affected_runs, unrecovered_runs,
  first_seen_at, last_seen_at, last_event_id, opened_at, previous_id, acknowledged_by, escalated_reason,
  resolved_reason, regression_count, is_storm, version)
select id, tenant_id, title, status, severity, category, error_code, workflow_id, vendor_id, signature,
  signature_version, signature_components, classification, event_count, 0, 0,
  first_seen_at, last_seen_at, last_event_id, opened_at, previous_id, '', '', '', 0, false, 1
from given order by signature
on conflict (tenant_id, signature) where status in ('detected', 'analyzing', 'escalated') do update set
  event_count = incident.event_count + excluded.event_count,
  first_seen_at = least(incident.first_seen_at, excluded.first_seen_at),
  last_seen_at = greatest(incident.last_seen_at, excluded.last_seen_at),
  last_event_id = excluded.last_event_id,
  version = incident.version + 1
returning id, (xmax = 0) as was_opened
"""
_BUMP = """
update incidents_incident set
  event_count = event_count + %(count)s,
  first_seen_at = least(first_seen_at, %(first)s),
  last_seen_at = greatest(last_seen_at, %(last)s),
  last_event_id = %(event)s,
  version = version + 1
where tenant_id = %(tenant)s and id = %(id)s
"""
_NUMBERS = """
update tenants_tenant set incident_counter = incident_counter + %s where id = %s returning incident_counter
"""


def group(
    tenant_id: UUID,
    groups: Mapping[str, Sequence[Reading]],
    *,
    vendors: Mapping[str, Vendor],
    now: datetime,
) -> dict[str, Incident]:
    """The incident of every signature in the batch, opened or bumped, with its row locked."""
    closed = _latest_closed(tenant_id, list(groups))
    known = rules.overrides(tenant_id) if groups else []
    learned = labels.learned(tenant_id) if groups else None
    absorbed: dict[str, UUID] = {}
    rows: list[dict[str, Any]] = []
    for hash_, readings in sorted(groups.items()):
        before = closed.get(hash_)
        if before is not None and belongs_to_closed(before, readings, now=now):
            absorbed[hash_] = _absorb(before, readings, now=now)
        else:
            rows.append(
                described(
                    tenant_id,
                    hash_,
                    readings,
                    before,
                    vendors=vendors,
                    known=known,
                    learned=learned,
                    now=now,
                )
            )
    opened = _upsert(rows)
    for row in rows:
        if row["previous_id"] and opened.get(UUID(row["id"])):
            _bring_members(tenant_id, UUID(row["id"]), row["signature"])
    found = Incident.objects.for_tenant(tenant_id).filter(pk__in=[*opened, *absorbed.values()])
    incidents = {i.signature: i for i in found.select_for_update().order_by("id")}
    _journal_openings([i for i in incidents.values() if opened.get(i.pk)], now=now)
    return incidents


def latest(tenant_id: UUID, hashes: Collection[str]) -> IncidentQuerySet:
    """Of each signature the incident that a new event could bump or reopen."""
    mine = Incident.objects.for_tenant(tenant_id).filter(signature__in=hashes, merged_into=None)
    return mine.order_by("signature", "-opened_at", "-id").distinct("signature")


def number(tenant_id: UUID, incidents: Sequence[Incident]) -> None:
    """Give new incidents their numbers: last of all, because the tenant's row is locked last."""
    unnumbered = sorted((i for i in incidents if i.number is None), key=lambda i: i.pk)
    if not unnumbered:
        return
    with connection.cursor() as cursor:
        cursor.execute(_NUMBERS, [len(unnumbered), tenant_id])
        (last,) = cursor.fetchone()
    for place, incident in enumerate(unnumbered):
        incident.number = last - len(unnumbered) + place + 1
    Incident.objects.bulk_update(unnumbered, ["number"])


def _latest_closed(tenant_id: UUID, hashes: list[str]) -> dict[str, Incident]:
    """The incident an event of the signature may belong to although it is closed."""
    mine = Incident.objects.for_tenant(tenant_id).filter(signature__in=hashes)
    still_open = set(mine.open().values_list("signature", flat=True))
    return {
        incident.signature: incident
        for incident in mine.closed().filter(merged_into=None).order_by("opened_at", "id")
        if incident.signature not in still_open
    }


def belongs_to_closed(before: Incident, readings: Sequence[Reading], *, now: datetime) -> bool:
    """Whether they are counted on an incident that is over; an ignored one takes everything."""
    if before.status == Status.IGNORED:
        return True
    if before.resolved_at is None:
        return False
    is_late = _last_seen(readings) < before.resolved_at
    return is_late or before.resolved_at > now - REGRESSION_WINDOW


def came_back(before: Incident, readings: Sequence[Reading]) -> bool:
    """Whether one of them happened after its end: a regression."""
    is_later = before.resolved_at is not None and _last_seen(readings) >= before.resolved_at
    return before.status == Status.RESOLVED and is_later


def _absorb(before: Incident, readings: Sequence[Reading], *, now: datetime) -> UUID:
    """Count the events on the closed incident; one that happened after its end reopens it."""
    with connection.cursor() as cursor:
        cursor.execute(
            _BUMP,
            {
                "count": len(readings),
                "first": min(r.event.occurred_at for r in readings),
                "last": _last_seen(readings),
                "event": readings[-1].event.id,
                "tenant": before.tenant_id,
                "id": before.pk,
            },
        )
    if came_back(before, readings):
        lifecycle.reopen(
            before,
            by=SYSTEM,
            now=now,
            is_regression=True,
            reason="The same failure happened again.",
        )
    return before.pk


def described(
    tenant_id: UUID,
    hash_: str,
    readings: Sequence[Reading],
    before: Incident | None,
    *,
    vendors: Mapping[str, Vendor],
    known: Sequence[Override],
    learned: Model | None,
    now: datetime,
) -> dict[str, Any]:
    """The columns of the incident that these failures open."""
    first = next((r for r in readings if r.signature and r.signature.hash == hash_), readings[0])
    facts, grouped_by = first.facts, first.signature
    assert grouped_by is not None
    described = _as_before(before) if before is not None and grouped_by.hash != hash_ else {}
    found, in_force = judging.judge(tenant_id, facts, known, learned)
    ruled = "severity" in in_force.values and not in_force.values["severity"].source.startswith(
        "built"
    )
    vendor = vendors.get(first.event.vendor_name)
    return {
        "id": str(uuid7(now)),
        "tenant_id": str(tenant_id),
        "title": signature.title(
            event_type=facts.event_type,
            error_code=facts.error_code,
            error_message=facts.error_message,
            vendor=facts.vendor,
            step=facts.step,
        ),
        "status": str(Status.DETECTED),
        "severity": in_force.severity if ruled else found.severity,
        "category": in_force.category,
        "error_code": facts.error_code[:200],
        "workflow_id": str(first.event.workflow_id),
        "vendor_id": str(vendor.pk) if vendor else None,
        "signature": hash_,
        "signature_version": grouped_by.version,
        "signature_components": [list(pair) for pair in grouped_by.components],
        "classification": asdict(found),
        "event_count": len(readings),
        "first_seen_at": min(r.event.occurred_at for r in readings).isoformat(),
        "last_seen_at": _last_seen(readings).isoformat(),
        "last_event_id": str(readings[-1].event.id),
        "opened_at": now.isoformat(),
        "previous_id": str(before.pk) if before else None,
        **described,
    }


def _as_before(before: Incident) -> dict[str, Any]:
    """What an incident is, when only merged failures bring it back: they say what they are, not what it is."""
    return {
        "title": before.title,
        "severity": before.severity,
        "category": before.category,
        "error_code": before.error_code,
        "workflow_id": str(before.workflow_id),
        "vendor_id": str(before.vendor_id) if before.vendor_id else None,
        "signature_version": before.signature_version,
        "signature_components": before.signature_components,
        "classification": before.classification,
    }


def _bring_members(tenant_id: UUID, incident_id: UUID, signature_: str) -> None:
    """What was merged into an earlier incident of the signature is counted on this one from here on."""
    mine = Incident.objects.for_tenant(tenant_id)
    earlier = mine.filter(signature=signature_).exclude(pk=incident_id)
    merged = mine.filter(merged_into__in=earlier).exclude(signature=signature_)
    merged.update(merged_into=incident_id)


def _last_seen(readings: Sequence[Reading]) -> datetime:
    return max(r.event.occurred_at for r in readings)


def _upsert(rows: list[dict[str, Any]]) -> dict[UUID, bool]:
    """Incident id → whether this batch opened it."""
    if not rows:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_UPSERT, [json.dumps(rows)])
        return dict(cursor.fetchall())


def _journal_openings(opened: Sequence[Incident], *, now: datetime) -> None:
    journal.record_many(
        [
            journal.Line(
                incident,
                "detected",
                {
                    "severity": incident.severity,
                    "category": incident.category,
                    "events": incident.event_count,
                    "previous": str(incident.previous_id) if incident.previous_id else None,
                },
            )
            for incident in sorted(opened, key=lambda i: i.pk)
        ],
        by=SYSTEM,
        at=now,
    )
