"""Moves what incidents count from one to another: links, hours, ledger lines, and the counts that follow from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, F, Max, Min, Q, QuerySet

from events.models import Event
from incidents import hours
from incidents.models import AffectedRun, EventLink, Incident, IncidentHour, MergePart, Run, Undo
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
_JOIN_LINES = """
with given as (
  delete from incidents_affectedrun where tenant_id = %(tenant)s and incident_id = any(%(others)s)
  returning run_id
), hurt as (select distinct run_id from given)
insert into incidents_affectedrun (id, tenant_id, incident_id, run_id)
select gen_random_uuid(), %(tenant)s, %(target)s, run_id from hurt
on conflict (tenant_id, incident_id, run_id) do nothing
"""
# "(… in …) is true" and "not in" are answered by a hash, whatever the planner thinks of fresh tables:
# as joins, five thousand runs took a quarter of a minute.
_PART_LINES = """
with leaving as materialized (
  select distinct run_id from incidents_eventlink
  where tenant_id = %(tenant)s and incident_id = %(source)s and signature = %(signature)s
    and run_id is not null
), staying as materialized (
  select distinct run_id from incidents_eventlink
  where tenant_id = %(tenant)s and incident_id = %(source)s and signature <> %(signature)s
    and run_id is not null
), shared as (
  insert into incidents_affectedrun (id, tenant_id, incident_id, run_id)
  select gen_random_uuid(), %(tenant)s, %(member)s, run_id from leaving
  on conflict (tenant_id, incident_id, run_id) do nothing
)
delete from incidents_affectedrun where tenant_id = %(tenant)s and incident_id = %(source)s
  and (run_id in (select run_id from leaving)) is true
  and run_id not in (select run_id from staying)
"""
_PART_RUNS = """
with hurt as materialized (
  select incident_id, run_id from incidents_affectedrun
  where tenant_id = %(tenant)s and incident_id in (%(source)s, %(member)s)
)
update incidents_run set incident_id = %(member)s, version = version + 1
where tenant_id = %(tenant)s and incident_id = %(source)s
  and (id in (select run_id from hurt where incident_id = %(member)s)) is true
  and id not in (select run_id from hurt where incident_id = %(source)s)
"""


# Hashed, for the reason above.
_GIVE_LINKS = """
update incidents_eventlink set incident_id = %(other)s
where tenant_id = %(tenant)s and incident_id = %(target)s
  and (id in (select unnest(link_ids) from incidents_mergepart
    where tenant_id = %(tenant)s and step_id = %(step)s and incident_id = %(other)s)) is true
"""
_GIVE_RUNS = """
update incidents_run set incident_id = %(other)s, version = version + 1
where tenant_id = %(tenant)s and incident_id = %(target)s
  and (id in (select unnest(run_ids) from incidents_mergepart
    where tenant_id = %(tenant)s and step_id = %(step)s and incident_id = %(other)s)) is true
"""
_GIVE_LINES = """
insert into incidents_affectedrun (id, tenant_id, incident_id, run_id)
select unnest(line_ids), tenant_id, incident_id, unnest(line_run_ids)
from incidents_mergepart where tenant_id = %(tenant)s and step_id = %(step)s
"""
_GIVE_HOURS = """
insert into incidents_incidenthour (id, tenant_id, incident_id, hour, n_events)
select unnest(hour_ids), tenant_id, incident_id, unnest(hours), unnest(hour_counts)
from incidents_mergepart where tenant_id = %(tenant)s and step_id = %(step)s
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
    given: dict[str, Any] = {"tenant": tenant_id, "target": target.pk, "others": ids}
    with connection.cursor() as cursor:  # a run that several of them hurt keeps one line
        cursor.execute(_JOIN_LINES, given)
    owned = Run.objects.for_tenant(tenant_id).filter(incident__in=ids)
    owned.update(incident=target, version=F("version") + 1)
    for other in joining:
        _add(target, _counted_by(other))
        other.event_count = 0
        store(other)
    store(target)


def part(source: Incident, member: Incident, *, signature: str) -> int:
    """Move what the source counts of the signature to the member; returns how many events."""
    tenant_id = source.tenant_id
    links = EventLink.objects.for_tenant(tenant_id).filter(incident_id=source.pk)
    leaving = links.filter(signature=signature)
    moved = _evidence(tenant_id, leaving)
    if moved.n_events:
        hours.part(tenant_id, source.pk, member.pk, signature=signature)
        _part_runs(source, member, signature)
        leaving.update(incident_id=member.pk)
        _add(member, moved)
        source.event_count -= moved.n_events
    _narrow(source, _evidence(tenant_id, links))
    for incident in (member, source):
        store(incident)
    return moved.n_events


def give_back(step: Undo) -> None:
    """Each incident of a merge has the rows again that it had, with their ids; nothing was counted since."""
    tenant_id, target_id = step.tenant_id, step.incident_id
    given: dict[str, Any] = {"tenant": tenant_id, "step": step.pk, "target": target_id}
    parts = MergePart.objects.for_tenant(tenant_id).filter(step=step).exclude(incident=target_id)
    AffectedRun.objects.for_tenant(tenant_id).filter(incident=target_id).delete()
    IncidentHour.objects.for_tenant(tenant_id).filter(incident=target_id).delete()
    with connection.cursor() as cursor:
        for other in parts.values_list("incident_id", flat=True):
            cursor.execute(_GIVE_LINKS, given | {"other": other})
            cursor.execute(_GIVE_RUNS, given | {"other": other})
        cursor.execute(_GIVE_LINES, given)
        cursor.execute(_GIVE_HOURS, given)


def _part_runs(source: Incident, member: Incident, signature: str) -> None:
    """While the links are the source's: a run that both hurt has a line on both, and stays the source's."""
    given: dict[str, Any] = {
        "tenant": source.tenant_id,
        "source": source.pk,
        "member": member.pk,
        "signature": signature,
    }
    with connection.cursor() as cursor:
        cursor.execute(_PART_LINES, given)
        cursor.execute(_PART_RUNS, given)


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


def store(incident: Incident) -> None:
    """With its run counts as the ledger has them now."""
    lines = AffectedRun.objects.for_tenant(incident.tenant_id).filter(incident=incident)
    is_left = Q(run__state__in=UNRECOVERED)
    counts = lines.aggregate(affected=Count("pk"), left=Count("pk", filter=is_left))
    incident.affected_runs, incident.unrecovered_runs = counts["affected"], counts["left"]
    incident.version += 1
    incident.save(update_fields=_MOVED)
