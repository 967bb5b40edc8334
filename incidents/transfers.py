"""Moves what incidents count from one to another: links, hours, ledger lines, and the counts that follow from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q, QuerySet

from events.models import Event
from incidents import hours
from incidents.models import AffectedRun, EventLink, Incident, Run
from incidents.states import UNRECOVERED

_MOVED = [
    "event_count",
    "affected_runs",
    "unrecovered_runs",
    "first_seen_at",
    "last_seen_at",
    "last_event_id",
    "version",
]
_SHARE_LINES = """
with hurt as (
  select distinct run_id from incidents_eventlink
  where tenant_id = %(tenant)s and incident_id = %(source)s and signature = %(signature)s
    and run_id is not null
)
insert into incidents_affectedrun (id, tenant_id, incident_id, run_id)
select gen_random_uuid(), %(tenant)s, %(member)s, run_id from hurt
on conflict (tenant_id, incident_id, run_id) do nothing
"""


@dataclass(frozen=True)
class Evidence:
    """What some links say together."""

    n_events: int
    first_at: datetime | None
    last_at: datetime | None
    last_event_id: UUID | None


def join(target: Incident, joining: Sequence[Incident]) -> None:
    """Give the target everything that the joining count."""
    tenant_id, ids = target.tenant_id, [other.pk for other in joining]
    links = EventLink.objects.for_tenant(tenant_id)
    links.filter(incident_id__in=ids).update(incident_id=target.pk)
    hours.join(tenant_id, ids, target.pk)
    _join_lines(target, ids)
    owned = Run.objects.for_tenant(tenant_id).filter(incident__in=ids)
    owned.update(incident=target, version=F("version") + 1)
    for other in joining:
        _add(target, _counted_by(other))
        other.event_count = 0
        _store(other)
    _store(target)


def _join_lines(target: Incident, ids: Sequence[UUID]) -> None:
    """A run that several of them hurt keeps one line."""
    lines = AffectedRun.objects.for_tenant(target.tenant_id)
    theirs = lines.filter(incident__in=ids)
    theirs.filter(run__in=lines.filter(incident=target).values("run")).delete()
    twins = theirs.filter(run=OuterRef("run"), pk__lt=OuterRef("pk"))
    theirs.filter(Exists(twins)).delete()
    theirs.update(incident=target)


def part(source: Incident, member: Incident, *, signature: str) -> int:
    """Move what the source counts of the signature to the member; returns how many events."""
    tenant_id = source.tenant_id
    links = EventLink.objects.for_tenant(tenant_id).filter(incident_id=source.pk)
    leaving = links.filter(signature=signature)
    moved = _evidence(tenant_id, leaving)
    if moved.n_events:
        hours.part(tenant_id, source.pk, member.pk, signature=signature)
        _share_lines(source, member, signature)
        leaving.update(incident_id=member.pk)
        _part_lines(source, member)
        _add(member, moved)
        source.event_count -= moved.n_events
    _narrow(source, _evidence(tenant_id, links))
    for incident in (member, source):
        _store(incident)
    return moved.n_events


def _share_lines(source: Incident, member: Incident, signature: str) -> None:
    given: dict[str, Any] = {
        "tenant": source.tenant_id,
        "source": source.pk,
        "member": member.pk,
        "signature": signature,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SHARE_LINES, given)


def _part_lines(source: Incident, member: Incident) -> None:
    """The links have moved: a run that no link of the source names any more is the member's alone."""
    lines = AffectedRun.objects.for_tenant(source.tenant_id)
    shared = lines.filter(incident=source, run__in=lines.filter(incident=member).values("run"))
    links = EventLink.objects.for_tenant(source.tenant_id).filter(incident_id=source.pk)
    shared.filter(~Exists(links.filter(run_id=OuterRef("run_id")))).delete()
    owned = Run.objects.for_tenant(source.tenant_id).filter(incident=source)
    left = owned.exclude(pk__in=lines.filter(incident=source).values("run"))
    gone = left.filter(pk__in=lines.filter(incident=member).values("run"))
    gone.update(incident=member, version=F("version") + 1)


def _evidence(tenant_id: UUID, links: QuerySet[EventLink]) -> Evidence:
    events = Event.objects.for_tenant(tenant_id).filter(pk__in=links.values("pk"))
    seen = events.aggregate(first=Min("occurred_at"), last=Max("occurred_at"))
    latest = links.order_by("-id").values_list("pk", flat=True).first()
    return Evidence(links.count(), seen["first"], seen["last"], latest)


def _counted_by(incident: Incident) -> Evidence:
    if incident.event_count == 0:
        return Evidence(0, None, None, None)
    return Evidence(
        incident.event_count,
        incident.first_seen_at,
        incident.last_seen_at,
        incident.last_event_id,
    )


def _add(incident: Incident, given: Evidence) -> None:
    """One that counted nothing begins with what it is given."""
    had = _counted_by(incident)
    firsts, lasts = (had.first_at, given.first_at), (had.last_at, given.last_at)
    ids = (had.last_event_id, given.last_event_id)  # in order of arrival, as UUIDv7 are
    incident.event_count += given.n_events
    incident.first_seen_at = min(filter(None, firsts), default=incident.first_seen_at)
    incident.last_seen_at = max(filter(None, lasts), default=incident.last_seen_at)
    incident.last_event_id = max(filter(None, ids), default=incident.last_event_id)


def _narrow(incident: Incident, left: Evidence) -> None:
    """To what is left; links that were dropped with their day still say when it began."""
    if left.n_events == 0:
        return
    incident.last_seen_at = left.last_at or incident.last_seen_at
    incident.last_event_id = left.last_event_id
    if left.n_events == incident.event_count:
        incident.first_seen_at = left.first_at or incident.first_seen_at


def _store(incident: Incident) -> None:
    """With its run counts as the ledger has them now."""
    lines = AffectedRun.objects.for_tenant(incident.tenant_id).filter(incident=incident)
    is_left = Q(run__state__in=UNRECOVERED)
    counts = lines.aggregate(affected=Count("pk"), left=Count("pk", filter=is_left))
    incident.affected_runs, incident.unrecovered_runs = counts["affected"], counts["left"]
    incident.version += 1
    incident.save(update_fields=_MOVED)
