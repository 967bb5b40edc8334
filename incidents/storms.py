"""The only place that makes storms: one parent for the many new failures of a vendor; it groups and never counts."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Any
from uuid import UUID

from django.db.models import F

from awfdrs_site.lib import sweeping
from awfdrs_site.lib.ids import made_at, uuid7
from incidents import lifecycle, turns
from incidents.models import Incident
from incidents.querysets import IncidentQuerySet
from incidents.states import OPEN, Severity
from tenants import journal, scoping
from tenants.journal import SYSTEM

SIGNATURES = 20  # one more than these in WINDOW, at one vendor, is a storm (DESIGN.md rule 14)
WINDOW = timedelta(minutes=5)
CATEGORY = "vendor_error"
SWEEP = 100
_VERSION = 1

_CALM = """
select tenant_id, id from incidents_incident storm
where is_storm and status in ('detected', 'analyzing', 'escalated')
  and not exists (
    select from incidents_incident child
    where child.tenant_id = storm.tenant_id and child.parent_id = storm.id
      and child.status in ('detected', 'analyzing', 'escalated'))
order by id limit %s
"""


def gather(tenant_id: UUID, opened: Sequence[Incident], *, now: datetime) -> list[Incident]:
    """Put the incidents a batch opened under their vendors' storms; returns the storms that grew.

    A storm opens with the first incident beyond `SIGNATURES`; while it is open, whatever is new at
    its vendor joins it. Batches of a tenant take turns, so that nobody opens a second one.
    """
    fresh: dict[UUID, list[Incident]] = defaultdict(list)
    for incident in opened:
        if incident.vendor_id is not None:
            fresh[incident.vendor_id].append(incident)
    if not fresh:
        return []
    raging = _raging(tenant_id, list(fresh))
    recent = _recent(tenant_id, [vendor for vendor in fresh if vendor not in raging], now=now)
    grown = []
    for vendor_id in sorted(fresh):
        storm, joining = raging.get(vendor_id), fresh[vendor_id]
        if storm is None and len(recent[vendor_id]) > SIGNATURES:
            joining = recent[vendor_id]
            storm = _open(joining, now=now)
        if storm is not None:
            _join(storm, joining, now=now)
            grown.append(storm)
    return grown


def newcomers(tenant_id: UUID, vendors: Iterable[UUID], *, now: datetime) -> IncidentQuerySet:
    """The incidents of these vendors that the next one may turn into a storm."""
    mine = Incident.objects.for_tenant(tenant_id).filter(vendor__in=vendors)
    alone = mine.filter(parent=None, is_storm=False, merged_into=None)
    return alone.filter(opened_at__gt=now - WINDOW)


def settle_due(*, limit: int = SWEEP) -> int:
    """The sweep: resolve the storms that have no open incident left; returns how many."""
    due = scoping.found(_CALM, [limit])
    return sweeping.each(due, _settle)


def shelter_of(incident: Incident) -> Incident | None:
    """The open storm whose one escalation is this incident's too."""
    if incident.parent_id is None:
        return None
    mine = Incident.objects.for_tenant(incident.tenant_id).open()
    found: Incident | None = mine.filter(pk=incident.parent_id).first()
    return found


def signature_of(vendor_id: UUID) -> str:
    """What keeps the open storm of a vendor single: no failure has it."""
    return hashlib.sha256(f"storm:{vendor_id}".encode()).hexdigest()[:32]


def _raging(tenant_id: UUID, vendors: Sequence[UUID]) -> dict[UUID | None, Incident]:
    mine = Incident.objects.for_tenant(tenant_id).open().select_related("vendor")
    found = mine.filter(signature__in=[signature_of(vendor) for vendor in vendors])
    return {storm.vendor_id: storm for storm in found.select_for_update(of=("self",))}


def _recent(
    tenant_id: UUID, vendors: Sequence[UUID], *, now: datetime
) -> Mapping[UUID, list[Incident]]:
    found: dict[UUID, list[Incident]] = defaultdict(list)
    rows = newcomers(tenant_id, vendors, now=now).select_related("vendor").order_by("id")
    for incident in rows if vendors else ():
        # its id tells when it was made: one that was reopened or split off is no new failure
        if incident.vendor_id is not None and made_at(incident.pk) > now - WINDOW:
            found[incident.vendor_id].append(incident)
    return found


def _open(children: Sequence[Incident], *, now: datetime) -> Incident:
    """The workflow is the one hurt most: the column needs one, and it is where people would look."""
    first, vendor = children[0], children[0].vendor
    assert vendor is not None
    before = Incident.objects.for_tenant(first.tenant_id).filter(signature=signature_of(vendor.pk))
    workflow_id, _ = Counter(child.workflow_id for child in children).most_common(1)[0]
    storm = Incident(
        id=uuid7(now),
        tenant_id=first.tenant_id,
        severity=_highest(children),
        category=CATEGORY,
        workflow_id=workflow_id,
        vendor=vendor,
        signature=signature_of(vendor.pk),
        signature_version=_VERSION,
        signature_components=[["storm", vendor.name]],
        classification=_classification(vendor.name),
        first_seen_at=min(child.first_seen_at for child in children),
        last_seen_at=now,
        opened_at=now,
        previous=before.order_by("-opened_at", "-id").first(),
        is_storm=True,
    )
    storm.save(force_insert=True)
    journal.record(
        storm, "storm_opened", by=SYSTEM, at=now, vendor=vendor.name, incidents=len(children)
    )
    return storm


def _join(storm: Incident, children: Sequence[Incident], *, now: datetime) -> None:
    vendor, mine = storm.vendor, Incident.objects.for_tenant(storm.tenant_id)
    assert vendor is not None
    mine.filter(pk__in=[child.pk for child in children]).update(
        parent=storm, version=F("version") + 1
    )
    detail = {
        "incident": str(storm.pk),
        "reason": f"More than {SIGNATURES} new failures of {vendor.name} in {_minutes(WINDOW)}.",
    }
    lines = [journal.Line(child, "joined_storm", detail) for child in children]
    journal.record_many(lines, by=SYSTEM, at=now)
    lasted = _minutes(now - storm.opened_at + WINDOW)
    n_children = mine.filter(parent=storm).count()
    storm.title = f"Storm: {n_children} new failures of {vendor.name} in {lasted}"
    storm.severity = _highest([storm, *children])
    storm.last_seen_at = now
    storm.version += 1
    storm.save(update_fields=["title", "severity", "last_seen_at", "version"])


def _settle(tenant_id: UUID, storm_id: UUID) -> None:
    with scoping.bound(tenant_id, durable=True) as now:
        turns.take(tenant_id)  # no batch adds to it meanwhile
        mine = Incident.objects.for_tenant(tenant_id)
        storm = mine.select_for_update().get(pk=storm_id)
        children = mine.filter(parent=storm)
        if storm.status in OPEN and not children.open().exists():
            reason = f"All {children.count()} incidents of the storm are closed."
            lifecycle.resolve(storm, by=SYSTEM, now=now, reason=reason)


def _minutes(span: timedelta) -> str:
    return f"{ceil(span / timedelta(minutes=1))} minutes"


def _highest(incidents: Sequence[Incident]) -> str:
    ranks = Severity.values
    return max((incident.severity for incident in incidents), key=ranks.index)


def _classification(vendor: str) -> dict[str, Any]:
    return {
        "category": CATEGORY,
        "severity": "",
        "confidence": 1.0,
        "is_certain": True,
        "rule": "storm",
        "evidence": [f"more than {SIGNATURES} new failures of {vendor} began together"],
        "retryable_hint": False,
    }
