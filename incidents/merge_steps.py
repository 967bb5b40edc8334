"""The only place that remembers what a merge moved, row by row, and gives exactly that back or nothing."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q

from incidents import keeping, lifecycle, transfers, turns
from incidents.lifecycle import ChangedSince
from incidents.models import Incident, MergePart, SignatureAlias, Undo
from tenants.journal import Actor

VERB = "merge"
_MOMENTS = ("first_seen_at", "last_seen_at")
_COUNTS = ("event_count", "affected_runs", "unrecovered_runs")
_IDS = ("last_event_id", "merged_into_id")
_KEEP = """
insert into incidents_mergepart (id, tenant_id, step_id, incident_id, link_ids, run_ids,
  line_ids, line_run_ids, hour_ids, hours, hour_counts)
select gen_random_uuid(), given.tenant_id, %(step)s, given.id,
  array(select link.id from incidents_eventlink link
    where link.tenant_id = given.tenant_id and link.incident_id = given.id and given.id <> %(target)s),
  array(select run.id from incidents_run run
    where run.tenant_id = given.tenant_id and run.incident_id = given.id and given.id <> %(target)s),
  lines.ids, lines.runs, hours.ids, hours.hours, hours.counts
from incidents_incident given
cross join lateral (
  select coalesce(array_agg(id order by id), '{}') as ids, coalesce(array_agg(run_id order by id), '{}') as runs
  from incidents_affectedrun where tenant_id = given.tenant_id and incident_id = given.id
) lines
cross join lateral (
  select coalesce(array_agg(id order by id), '{}') as ids, coalesce(array_agg(hour order by id), '{}') as hours,
    coalesce(array_agg(n_events order by id), '{}') as counts
  from incidents_incidenthour where tenant_id = given.tenant_id and incident_id = given.id
) hours
where given.tenant_id = %(tenant)s and given.id = any(%(ids)s)
"""
_OWNS = """
with given as materialized (
  select unnest(run_ids) as id from incidents_mergepart where tenant_id = %(tenant)s and step_id = %(step)s
)
select (select count(*) from given) = (
  select count(*) from incidents_run where tenant_id = %(tenant)s and incident_id = %(target)s
    and (id in (select id from given)) is true)
"""


def keep(
    target: Incident,
    joining: Collection[Incident],
    touched: Iterable[Incident],
    *,
    by: Actor,
    now: datetime,
) -> Undo:
    """Before a merge: what the target and the joining count. `touched` are all rows that it will change."""
    before = _said(touched, _led(target.tenant_id, [other.signature for other in joining]))
    step = keeping.note_step(target, VERB, before=before, after={}, by=by, now=now)
    counting = [target.pk, *(other.pk for other in joining)]
    given: dict[str, Any] = {"tenant": step.tenant_id, "step": step.pk, "target": target.pk}
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, given | {"ids": counting})
    return step


def kept(step: Undo, touched: Iterable[Incident], signatures: Iterable[str]) -> None:
    """After the merge: what it left, by which a later change is known."""
    known = {*signatures, *step.before["aliases"]}
    step.after = _said(touched, _aliases(step.tenant_id, known))
    step.save(update_fields=["after"])


def hold(step: Undo) -> list[Incident]:
    """Our turn, and the rows that the merge changed, locked in id order."""
    turns.take(step.tenant_id)
    mine = Incident.objects.for_tenant(step.tenant_id).filter(pk__in=step.before["incidents"])
    return list(mine.select_for_update().order_by("id"))


def give_back(
    step: Undo, held: Collection[Incident], *, by: Actor, now: datetime, taken: Collection[str]
) -> Incident:
    """Undo a merge whose rows are held. Raises ChangedSince, and then nothing has been moved."""
    rows = {row.pk: row for row in held}
    target = rows.pop(step.incident_id)
    numbers = ", ".join(str(row) for row in rows.values())
    if not _is_as_left(step, target):
        raise ChangedSince(f"{target} has counted more since: split {numbers} off instead.")
    for row in rows.values():
        if not _is_same(row, step.after["incidents"][str(row.pk)]):
            raise ChangedSince(f"{row} has changed since: it stays merged.")
    _bring_back(step, rows.keys(), by=by, now=now, taken=taken)
    transfers.give_back(step)
    _lead_back(step)
    for part in MergePart.objects.for_tenant(step.tenant_id).filter(step=step).only("incident_id"):
        _count_again(step, part.incident_id)
    MergePart.objects.for_tenant(step.tenant_id).filter(step=step).delete()
    target.refresh_from_db()
    return keeping.save(target, "undone", by=by, now=now, detail=f"merge of {numbers}")


def _bring_back(
    step: Undo, ids: Collection[UUID], *, by: Actor, now: datetime, taken: Collection[str]
) -> None:
    with keeping.together(step.tenant_id, ids) as rows:
        for row in rows.values():
            before, after = (said["incidents"][str(row.pk)] for said in (step.before, step.after))
            row.merged_into_id = _id(before["merged_into_id"])
            lifecycle.restore(
                row,
                verb=VERB,
                before={name: before[name] for name in keeping.DECIDED},
                after={name: after[name] for name in keeping.DECIDED},
                by=by,
                now=now,
                taken=taken,
            )


def _count_again(step: Undo, incident_id: UUID) -> None:
    incident: Incident = Incident.objects.for_tenant(step.tenant_id).get(pk=incident_id)
    said = step.before["incidents"][str(incident_id)]
    incident.event_count = said["event_count"]
    incident.last_event_id = _id(said["last_event_id"])
    for name in _MOMENTS:
        setattr(incident, name, datetime.fromisoformat(said[name]))
    transfers.store(incident)


def _is_as_left(step: Undo, target: Incident) -> bool:
    """Whether nothing was counted on the target since, and what leads to it still does."""
    now, then = _fields(target), step.after["incidents"][str(target.pk)]
    names = (*_MOMENTS, *_COUNTS, *_IDS)
    if any(now[name] != then[name] for name in names):
        return False
    aliases = step.after["aliases"]
    return _aliases(step.tenant_id, aliases) == aliases and _owns_them_still(step)


def _owns_them_still(step: Undo) -> bool:
    given = {"tenant": step.tenant_id, "step": step.pk, "target": step.incident_id}
    with connection.cursor() as cursor:
        cursor.execute(_OWNS, given)
        return bool(cursor.fetchone()[0])


def _is_same(row: Incident, said: Mapping[str, Any]) -> bool:
    now = _fields(row)
    return all(now[name] == said[name] for name in now.keys() - lifecycle.MACHINE_DECIDES)


def _said(rows: Iterable[Incident], aliases: Mapping[str, str]) -> dict[str, Any]:
    return {"incidents": {str(row.pk): _fields(row) for row in rows}, "aliases": dict(aliases)}


def _fields(row: Incident) -> dict[str, Any]:
    counted = {name: getattr(row, name) for name in _COUNTS}
    moments = {name: getattr(row, name).isoformat() for name in _MOMENTS}
    ids = {name: str(value) if (value := getattr(row, name)) else None for name in _IDS}
    return keeping.snapshot(row) | counted | moments | ids


def _led(tenant_id: UUID, signatures: Iterable[str]) -> dict[str, str]:
    """What these signatures count as, and what counts as them."""
    given = list(signatures)
    mine = SignatureAlias.objects.for_tenant(tenant_id)
    found = mine.filter(Q(signature__in=given) | Q(counts_as__in=given))
    return dict(found.values_list("signature", "counts_as"))


def _aliases(tenant_id: UUID, signatures: Iterable[str]) -> dict[str, str]:
    mine = SignatureAlias.objects.for_tenant(tenant_id).filter(signature__in=list(signatures))
    return dict(mine.values_list("signature", "counts_as"))


def _lead_back(step: Undo) -> None:
    mine = SignatureAlias.objects.for_tenant(step.tenant_id)
    for signature in step.after["aliases"]:
        before = step.before["aliases"].get(signature)
        if before is None:
            mine.filter(signature=signature).delete()
        else:
            mine.filter(signature=signature).update(counts_as=before)


def _id(said: str | None) -> UUID | None:
    return UUID(said) if said else None
