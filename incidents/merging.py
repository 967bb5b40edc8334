"""Makes incidents one and parts them again, so that it sticks: their failures are counted there from then on.

1. It is our turn: no digest of the tenant reads or writes meanwhile. Then incidents are locked in id order.
2. What they count moves; no event is lost and none is counted twice.
3. Signatures are led to the target, or cut loose.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from incidents import aliases, lifecycle, merge_steps, transfers, turns
from incidents.lifecycle import TransitionRefused
from incidents.models import Incident, Undo
from incidents.states import OPEN
from tenants import journal
from tenants.journal import Actor

AT_ONCE = 50  # incidents or signatures of one request

_STANDING = Q(status__in=OPEN) | Q(merged_into__isnull=False)


class MergeRefused(Exception):
    """These incidents cannot be one (-> 409); the text says why."""


class UnknownIncidents(Exception):
    """The tenant has no such incidents (-> 422)."""

    def __init__(self, ids: Sequence[UUID]) -> None:
        self.unknown = ids
        super().__init__("There is no such incident.")


class NotGroupedHere(Exception):
    """No merge brought these signatures to the incident (-> 422)."""

    def __init__(self, signatures: Sequence[str]) -> None:
        self.unknown = signatures
        super().__init__("No merge brought this signature here.")


@dataclass(frozen=True)
class Merged:
    """The target, and the step that takes the merge back; none where nothing was left to merge."""

    incident: Incident
    step: Undo | None


def merge(
    target: Incident, others: Sequence[UUID], *, by: Actor, now: datetime, reason: str = ""
) -> Merged:
    """Count what the others count on the target, now and later. Idempotent.

    Raises UnknownIncidents, MergeRefused and, when the target is not open, TransitionRefused.
    """
    turns.take(target.tenant_id)
    rows = _locked(target, Q(pk__in=others) | Q(merged_into__in=others))
    unknown = [pk for pk in others if pk not in rows]
    if unknown:
        raise UnknownIncidents(unknown)
    target = rows[target.pk]
    there = {target.pk, *others}
    joining = {pk: rows[pk] for pk in others if rows[pk].merged_into_id not in there}
    if not joining:
        return Merged(target, None)
    _refuse_target(target)
    _refuse_others(target, joining.values(), rows)
    step = _move(target, list(joining.values()), rows.values(), by=by, now=now, reason=reason)
    return Merged(target, step)


def _move(
    target: Incident,
    joining: Sequence[Incident],
    rows: Iterable[Incident],
    *,
    by: Actor,
    now: datetime,
    reason: str,
) -> Undo:
    ids = {other.pk for other in joining}
    following = [row for row in rows if row.pk in ids or row.merged_into_id in ids]
    signatures = [other.signature for other in joining]
    n_events = sum(other.event_count for other in joining)
    step = merge_steps.keep(target, joining, [target, *following], by=by, now=now)
    transfers.join(target, joining)
    aliases.lead(target, signatures, now=now)
    for row in following:
        lifecycle.merge_into(row, target, by=by, now=now, reason=reason)
    merge_steps.kept(step, [target, *following], signatures)
    numbers = [str(other) for other in joining]
    _tell(target, "merged", numbers, by=by, now=now, reason=reason, events=n_events)
    return step


def split(
    incident: Incident, signatures: Sequence[str], *, by: Actor, now: datetime, reason: str = ""
) -> Incident:
    """Give the events of merged signatures back; their failures never rejoin by themselves.

    Returns the incident they leave. Those they go to are open again and merged into none. Raises
    NotGroupedHere and, when the incident is not open, TransitionRefused.
    """
    turns.take(incident.tenant_id)
    rows = _locked(incident, Q(signature__in=signatures) & _STANDING)
    incident = rows[incident.pk]
    members = _members(incident, signatures, rows.values())
    unknown = [signature for signature in signatures if signature not in members]
    if unknown:
        raise NotGroupedHere(unknown)
    _refuse_closed(incident, asked="split")
    aliases.cut(incident.tenant_id, members)
    n_events = 0
    for signature, member in members.items():
        n_moved = transfers.part(incident, member, signature=signature)
        lifecycle.split_off(member, incident, by=by, now=now, reason=reason, events=n_moved)
        n_events += n_moved
    for row in rows.values():  # older incidents of a signature go with it
        if row.merged_into_id == incident.pk and row.signature in members:
            lifecycle.merge_into(row, members[row.signature], by=by, now=now, reason=reason)
    numbers = [str(member) for member in members.values()]
    _tell(incident, "split", numbers, by=by, now=now, reason=reason, events=n_events)
    return incident


def _locked(incident: Incident, also: Q) -> dict[UUID, Incident]:
    mine = Incident.objects.for_tenant(incident.tenant_id)
    found = mine.filter(Q(pk=incident.pk) | also).select_for_update().order_by("id")
    return {row.pk: row for row in found}


def _refuse_target(target: Incident) -> None:
    if target.is_storm:
        raise MergeRefused(f"{target} is a storm: it groups incidents and counts no events.")
    _refuse_closed(target, asked="merged")
    lead = aliases.leads(target.tenant_id, [target.signature]).get(target.signature)
    if lead is not None:
        raise MergeRefused(f"Failures like {target}'s are {_counted(target, lead)}: merge there.")


def _refuse_others(
    target: Incident, joining: Iterable[Incident], rows: Mapping[UUID, Incident]
) -> None:
    joining = list(joining)
    signatures = {other.signature for other in joining}
    leads = aliases.leads(target.tenant_id, signatures)
    open_ones = Incident.objects.for_tenant(target.tenant_id).open()
    newer = {
        row.signature: row
        for row in open_ones.filter(signature__in=signatures).exclude(pk__in=rows)
    }
    for other in joining:
        refusal = _refusal(target, other, leads, newer)
        if refusal:
            raise MergeRefused(refusal)


def _refusal(
    target: Incident, other: Incident, leads: Mapping[str, str], newer: Mapping[str, Incident]
) -> str:
    lead = leads.get(other.signature, target.signature)
    if other.pk == target.pk:
        return "An incident cannot be merged into itself."
    if other.is_storm:
        return f"{other} is a storm: it groups incidents and has no events to give."
    if other.merged_into is not None:
        return f"{other} is merged into {other.merged_into} already."
    if lead != target.signature:
        return f"Failures like {other}'s are {_counted(other, lead)}: split them off there first."
    if other.signature in newer:
        return f"{newer[other.signature]} is the open incident of {other}'s failure: merge that."
    return ""


def _counted(incident: Incident, lead: str) -> str:
    mine = Incident.objects.for_tenant(incident.tenant_id).filter(signature=lead)
    return f"counted on {mine.order_by('-opened_at', '-id').first()}"


def _refuse_closed(incident: Incident, *, asked: str) -> None:
    if incident.status in OPEN:
        return
    if incident.merged_into is not None:
        why = f"{incident} is merged into {incident.merged_into}: go on there."
        raise TransitionRefused(current=incident.status, asked=asked, why=why, allowed=())
    why = f"{incident} is {incident.status}: reopen it first."
    raise TransitionRefused(current=incident.status, asked=asked, why=why)


def _members(
    incident: Incident, signatures: Sequence[str], rows: Iterable[Incident]
) -> dict[str, Incident]:
    """Signature → the incident its events go back to: the open one, else the last that was merged."""
    rows = list(rows)
    leads = aliases.leads(incident.tenant_id, signatures)
    known = {hash_ for hash_, lead in leads.items() if lead == incident.signature}
    known |= {row.signature for row in rows if row.merged_into_id == incident.pk}
    known.discard(incident.signature)
    best_last = sorted(
        rows,
        key=lambda row: (row.status in OPEN, row.merged_into_id == incident.pk, row.opened_at),
    )
    return {row.signature: row for row in best_last if row.signature in known}


def _tell(
    incident: Incident,
    verb: str,
    numbers: Sequence[str],
    *,
    by: Actor,
    now: datetime,
    reason: str,
    events: int,
) -> None:
    said = {"reason": reason} if reason else {}
    words = ", ".join(numbers)
    journal.record(incident, verb, by=by, at=now, detail=words, events=events, **said)
