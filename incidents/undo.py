"""The only place that remembers what a person's verb changed, and takes it back exactly or not at all."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from incidents import keeping, lifecycle, merge_steps, runbooks
from incidents.lifecycle import ChangedSince
from incidents.models import BulkJob, Incident, Undo
from incidents.querysets import IncidentQuerySet
from incidents.states import BulkState
from tenants import scoping
from tenants.journal import Actor

WINDOW = timedelta(minutes=10)
KEPT_HOURS = 24
STEPS_SHOWN = 10

_FORGET = """
with old as materialized (
  select id from incidents_undo where at < awf_now() - make_interval(hours => %s) order by at limit 1000
), parts as (delete from incidents_mergepart where step_id in (select id from old))
delete from incidents_undo where id in (select id from old) returning id
"""


class NothingToUndo(Exception):
    """There is no such step of this person, or it is too old (-> 404 or 409)."""


@dataclass(frozen=True)
class Done:
    """What a verb left, and the step that takes it back: none where nothing changed, or for good."""

    incident: Incident
    step: Undo | None


def remembered(
    incident: Incident,
    verb: str,
    act: Callable[[Incident], Incident],
    *,
    by: Actor,
    now: datetime,
    with_sharers: bool = False,
) -> Done:
    """Let the verb act on the locked incident and keep what it changed."""
    row = keeping.locked(incident, with_sharers=with_sharers)
    before, left = keeping.snapshot(row), row.unrecovered_runs
    changed = act(row)
    after = keeping.snapshot(changed)
    # Runs that were given up stay so: the workflow's people have been told that nobody waits for them.
    if before == after or changed.unrecovered_runs != left:
        return Done(changed, None)
    step = keeping.note_step(changed, verb, before=before, after=after, by=by, now=now)
    return Done(changed, step)


def take_back(step: Undo, *, by: Actor, now: datetime) -> Incident:
    """Undo one step. Idempotent. Raises ChangedSince when what it changed was changed again since."""
    mine = Undo.objects.for_tenant(step.tenant_id)
    held = hold(step)
    incident = keeping.locked(Incident.objects.for_tenant(step.tenant_id).get(pk=step.incident_id))
    step = mine.select_for_update().get(pk=step.pk)
    if step.undone_at is not None:
        return incident
    if now - step.at > WINDOW:
        raise ChangedSince("That was more than 10 minutes ago: change it by hand.")
    incident = _give_back(step, held or [incident], by=by, now=now)
    mine.filter(pk=step.pk).update(undone_at=now)
    return incident


def hold(step: Undo) -> list[Incident]:
    """What must be taken before any row is locked: of a merge the turn, and all its rows in their order."""
    return merge_steps.hold(step) if step.verb == merge_steps.VERB else []


def _give_back(step: Undo, held: list[Incident], *, by: Actor, now: datetime) -> Incident:
    taken = open_elsewhere(step.tenant_id, held)
    if step.verb == merge_steps.VERB:
        return merge_steps.give_back(step, held, by=by, now=now, taken=taken)
    if step.verb in runbooks.VERBS:
        return runbooks.give_back(step, held[0], by=by, now=now)
    given = {"verb": step.verb, "before": step.before, "after": step.after, "taken": taken}
    return lifecycle.restore(held[0], by=by, now=now, **given)


def latest(tenant_id: UUID, *, by: Actor, now: datetime) -> Undo | BulkJob:
    """What this person did last, alone or to many, and can still take back. Raises NothingToUndo."""
    own = {"actor_kind": by.kind, "actor_id": by.id}
    steps = Undo.objects.for_tenant(tenant_id).filter(undone_at=None, at__gt=now - WINDOW, **own)
    step = steps.order_by("-at", "-id").first()
    jobs = BulkJob.objects.for_tenant(tenant_id).filter(state=BulkState.DONE, **own)
    job = jobs.filter(finished_at__gt=now - WINDOW).order_by("-created_at", "-id").first()
    if step is None and job is None:
        raise NothingToUndo("Nothing of yours from the last 10 minutes can be undone.")
    if job is None or (step is not None and step.at >= job.created_at):
        assert step is not None
        return step
    return job


def steps(tenant_id: UUID, *, by: Actor, now: datetime) -> list[Undo]:
    """What this person did to single incidents and can still take back, the latest first."""
    own = {"actor_kind": by.kind, "actor_id": by.id}
    found = Undo.objects.for_tenant(tenant_id).filter(undone_at=None, at__gt=now - WINDOW, **own)
    return list(found.select_related("incident").order_by("-at", "-id")[:STEPS_SHOWN])


def open_elsewhere(tenant_id: UUID, incidents: Collection[Incident]) -> set[str]:
    """Signatures of these that another incident has open: two cannot be."""
    mine: IncidentQuerySet = Incident.objects.for_tenant(tenant_id)
    others = mine.open().filter(signature__in={one.signature for one in incidents})
    return set(
        others.exclude(pk__in=[one.pk for one in incidents]).values_list("signature", flat=True)
    )


def forget_old() -> int:
    """The sweep: steps of yesterday are of no use to anybody."""
    return len(scoping.found(_FORGET, [KEPT_HOURS]))
