"""The only place that knows which signature counts as which: merges stick, across every later incident."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.db.models import Count

from incidents.models import EventLink, Incident, Run, SignatureAlias
from incidents.reading import Reading


@dataclass(frozen=True)
class Grouped:
    """One of the signatures that an incident counts, and the incident that describes it."""

    hash: str
    is_own: bool
    incident_id: UUID
    number: str
    title: str
    event_count: int


def follow(tenant_id: UUID, readings: Sequence[Reading]) -> list[Reading]:
    """The readings with the signature that counts them."""
    led = leads(tenant_id, (reading.counted_as for reading in readings if reading.counted_as))
    if not led:
        return list(readings)
    return [
        replace(reading, counted_as=led.get(reading.counted_as, reading.counted_as))
        for reading in readings
    ]


def leads(tenant_id: UUID, signatures: Iterable[str]) -> dict[str, str]:
    """What each of these counts as, if as another one."""
    mine = SignatureAlias.objects.for_tenant(tenant_id).filter(signature__in=set(signatures))
    return dict(mine.values_list("signature", "counts_as"))


def lead(target: Incident, signatures: Iterable[str], *, now: datetime) -> None:
    """Let these, and what leads to them already, count as the target's from here on."""
    mine = SignatureAlias.objects.for_tenant(target.tenant_id)
    others = sorted({*signatures} - {target.signature})
    mine.filter(counts_as__in=others).update(counts_as=target.signature)
    fresh = [
        SignatureAlias(
            tenant_id=target.tenant_id,
            signature=signature,
            counts_as=target.signature,
            created_at=now,
        )
        for signature in others
    ]
    # one that leads there already stays as it is
    SignatureAlias.objects.bulk_create(fresh, ignore_conflicts=True)


def cut(tenant_id: UUID, signatures: Iterable[str]) -> None:
    """Let these count as themselves again."""
    SignatureAlias.objects.for_tenant(tenant_id).filter(signature__in=set(signatures)).delete()


def told_by(incident: Incident, runs: Sequence[Run]) -> dict[UUID, Incident]:
    """Run id → the incident of its last failure's own signature, where that is another one's.

    After a merge it is that one which knows the run's workflow, vendor and code.
    """
    tenant_id = incident.tenant_id
    merged = SignatureAlias.objects.for_tenant(tenant_id).filter(counts_as=incident.signature)
    if not runs or not merged.exists():
        return {}
    links = EventLink.objects.for_tenant(tenant_id).filter(
        pk__in=[run.last_event_id for run in runs], signature__in=merged.values("signature")
    )
    own = dict(links.values_list("pk", "signature"))
    mine = Incident.objects.for_tenant(tenant_id).filter(signature__in=set(own.values()))
    latest = {
        kin.signature: kin
        for kin in mine.select_related("workflow", "vendor").order_by("opened_at", "id")
    }
    return {run.pk: latest[own[run.last_event_id]] for run in runs if run.last_event_id in own}


def grouped_here(incident: Incident) -> list[Grouped]:
    """The signatures that the incident counts, its own first; one query where nothing was merged."""
    mine = Incident.objects.for_tenant(incident.tenant_id)
    led = SignatureAlias.objects.for_tenant(incident.tenant_id).filter(counts_as=incident.signature)
    by_alias = mine.filter(signature__in=led.values("signature"))
    # two indexes answer two questions; an OR of them reads every incident
    found = mine.filter(merged_into=incident).union(by_alias, all=True)
    kin = {row.signature: row for row in found.order_by("opened_at", "id")}
    kin.pop(incident.signature, None)
    counts = _counts(incident, kin) if kin else {}
    own = _grouped(incident, incident.event_count - sum(counts.values()), is_own=True)
    return [own, *(_grouped(row, counts.get(hash_, 0)) for hash_, row in kin.items())]


def _counts(incident: Incident, signatures: Iterable[str]) -> dict[str, int]:
    links = EventLink.objects.for_tenant(incident.tenant_id).filter(incident_id=incident.pk)
    found = links.filter(signature__in=list(signatures)).order_by().values("signature")
    return dict(found.annotate(n=Count("pk")).values_list("signature", "n"))


def _grouped(incident: Incident, n_events: int, *, is_own: bool = False) -> Grouped:
    return Grouped(
        hash=incident.signature,
        is_own=is_own,
        incident_id=incident.pk,
        number=str(incident),
        title=incident.title,
        event_count=n_events,
    )
