"""The only writer of an incident's status: one verb a move, each journalled, each safe to repeat."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import F

from incidents import keeping
from incidents.models import AffectedRun, Incident, Run
from incidents.states import ALLOWED, OPEN, UNRECOVERED, RunState, Status
from tenants import journal
from tenants.journal import Actor

WAKES = (Status.ESCALATED, Status.RESOLVED, Status.IGNORED)  # nobody sleeps through these
MACHINE_DECIDES = {"decided_at", "planned_at"}  # anew, at any moment: no reason to refuse an undo
RUNS_NAMED = 20  # in the line of an incident that gives up many; each run has a line of its own


class TransitionRefused(Exception):
    """The incident may not move there from where it is (-> 409 with what is allowed)."""

    def __init__(
        self, *, current: str, asked: str, why: str = "", allowed: tuple[str, ...] | None = None
    ) -> None:
        self.current, self.asked = current, asked
        self.allowed = ALLOWED[current] if allowed is None else allowed
        super().__init__(why or f"An incident that is {current} cannot become {asked}.")


class ChangedSince(Exception):
    """What the verb changed is no longer as it left it: taking it back would undo another's work (-> 409)."""


class StaleVersion(Exception):
    """Somebody changed the incident since the caller looked (-> 412 with the current state)."""

    def __init__(self, incident: Incident) -> None:
        self.incident = incident
        super().__init__("The incident changed since you looked.")


class UnrecoveredRuns(Exception):
    """Runs are still hurt: resolving needs a waiver with a reason (-> 409 with the runs)."""

    def __init__(self, runs: list[Run]) -> None:
        self.runs = runs
        super().__init__(f"{len(runs)} runs are not recovered.")


def acknowledge(
    incident: Incident, *, by: Actor, now: datetime, note: str = "", until: datetime | None = None
) -> Incident:
    """Say that a person looks at it, perhaps for a time only. Not a status.

    A second acknowledgement changes nothing, unless it says until when.
    """
    incident = keeping.locked(incident)
    if incident.acknowledged_at is not None and until in (None, incident.acknowledged_until):
        return incident
    incident.acknowledged_at, incident.acknowledged_by = now, by.label
    incident.acknowledged_until = until
    ends = f"until {until.astimezone(UTC):%d %b %H:%M} UTC" if until else ""
    return keeping.save(incident, "acknowledged", by=by, now=now, note=note, detail=ends)


def end_acknowledgement(incident: Incident, *, by: Actor, now: datetime, reason: str) -> Incident:
    """Ask for a person again: nobody counts as looking at it. Quiet when nobody does."""
    incident = keeping.locked(incident)
    if incident.acknowledged_at is None:
        return incident
    _end_acknowledgement(incident)
    return keeping.save(incident, "acknowledgement_ended", by=by, now=now, reason=reason)


def analyze(incident: Incident, *, by: Actor, now: datetime, note: str = "") -> Incident:
    """Recovery is under way, or a person has taken it."""
    return _move(keeping.locked(incident), Status.ANALYZING, "analyzing", by=by, now=now, note=note)


def escalate(incident: Incident, *, by: Actor, now: datetime, reason: str) -> Incident:
    """People are needed."""
    incident = keeping.locked(incident)
    if incident.status != Status.ESCALATED:
        incident.escalated_at, incident.escalated_reason = now, reason
    return _move(incident, Status.ESCALATED, "escalated", by=by, now=now, reason=reason)


def resolve(
    incident: Incident,
    *,
    by: Actor,
    now: datetime,
    reason: str = "",
    waive_unrecovered: bool = False,
    **evidence: Any,
) -> Incident:
    """Close it. Raises UnrecoveredRuns unless they are waived with a reason, TransitionRefused."""
    incident = keeping.locked(incident, with_sharers=waive_unrecovered)
    if incident.status == Status.RESOLVED:
        return incident  # two operators, one outcome, one journal entry
    _refuse_unless_allowed(incident, Status.RESOLVED)
    left = list(_unrecovered(incident)) if incident.unrecovered_runs else []
    if left and not (waive_unrecovered and reason):
        raise UnrecoveredRuns(left)
    if left:
        _waive_all(left, by=by, now=now, reason=reason)
        incident.refresh_from_db()
    incident.resolved_at, incident.resolved_reason = now, reason
    return _move(incident, Status.RESOLVED, "resolved", by=by, now=now, reason=reason, **evidence)


def ignore(incident: Incident, *, by: Actor, now: datetime, reason: str) -> Incident:
    """Not a problem: later events of its signature are counted here and open nothing."""
    return _move(keeping.locked(incident), Status.IGNORED, "ignored", by=by, now=now, reason=reason)


def reopen(
    incident: Incident, *, by: Actor, now: datetime, reason: str = "", is_regression: bool = False
) -> Incident:
    """Open it again, by hand or because its signature came back; it is decided anew.

    Raises TransitionRefused also when another incident of the signature is open already.
    """
    incident = keeping.locked(incident)
    if incident.status in OPEN:
        return incident
    if incident.merged_into is not None:
        why = f"Split it from {incident.merged_into} instead."
        raise TransitionRefused(current=incident.status, asked=Status.DETECTED, why=why, allowed=())
    others = Incident.objects.for_tenant(incident.tenant_id).filter(signature=incident.signature)
    if others.open().exists():
        raise TransitionRefused(current=incident.status, asked=Status.DETECTED)
    start_over(incident, now=now)
    incident.regression_count += is_regression
    verb = "regressed" if is_regression else "reopened"
    return _move(incident, Status.DETECTED, verb, by=by, now=now, reason=reason)


def merge_into(
    incident: Incident, target: Incident, *, by: Actor, now: datetime, **detail: Any
) -> Incident:
    """Close a locked row whose events and runs `merging` has given to `target`, whatever it was."""
    before, incident.status = incident.status, Status.RESOLVED
    incident.snoozed_until = incident.snooze = None
    incident.merged_into = target
    incident.resolved_at = incident.resolved_at or now
    incident.resolved_reason = f"Merged into {target}."
    into = {"into": str(target), "incident": str(target.pk)}
    after = str(Status.RESOLVED)
    return keeping.save(
        incident, "merged_into", by=by, now=now, before=before, after=after, **into, **detail
    )


def split_off(
    incident: Incident, source: Incident, *, by: Actor, now: datetime, **detail: Any
) -> Incident:
    """Bring a locked row back, with what `merging` has given it of `source`; it is decided anew."""
    before, incident.merged_into = incident.status, None
    if before not in OPEN:
        start_over(incident, now=now)
        incident.status = Status.DETECTED
    of = {"from": str(source), "incident": str(source.pk)}
    after = str(incident.status)
    return keeping.save(
        incident, "split_off", by=by, now=now, before=before, after=after, **of, **detail
    )


def restore(
    incident: Incident,
    *,
    verb: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    by: Actor,
    now: datetime,
    taken: Collection[str] = (),
) -> Incident:
    """Take a verb back: what it changed is again exactly as it was, and nothing else is touched.

    `before` and `after` are snapshots; `taken` are signatures that another open incident has. Raises
    ChangedSince when any field that the verb changed has been changed again.
    """
    incident = keeping.locked(incident)
    changed = {name: said for name, said in before.items() if said != after[name]}
    current = keeping.snapshot(incident)
    for name in changed.keys() - MACHINE_DECIDES:
        if current[name] != after[name]:
            raise ChangedSince(f"{incident} has changed since: it stays as it is now.")
    opens = changed.get("status") in OPEN and incident.status not in OPEN
    if opens and incident.signature in taken:
        raise ChangedSince(f"Another incident of {incident}'s failure is open by now.")
    keeping.put_back(incident, changed)
    states = {"before": after["status"], "after": str(incident.status)}
    return keeping.save(incident, "undone", by=by, now=now, detail=verb.replace("_", " "), **states)


def move(
    incident: Incident,
    status: str,
    *,
    by: Actor,
    now: datetime,
    note: str = "",
    reason: str = "",
    version: int | None = None,
    waive_unrecovered: bool = False,
) -> Incident:
    """The move that `PATCH …/status` asks for. Raises StaleVersion, then what the verb raises."""
    incident = keeping.locked(incident, with_sharers=waive_unrecovered)
    if version is not None and version != incident.version:
        raise StaleVersion(incident)
    if incident.status == status:
        return incident
    _refuse_unless_allowed(incident, status)
    why = reason or note
    if status == Status.RESOLVED:
        return resolve(
            incident,
            by=by,
            now=now,
            reason=why,
            waive_unrecovered=waive_unrecovered and bool(reason),
        )
    verbs = {
        Status.ANALYZING: lambda: analyze(incident, by=by, now=now, note=why),
        Status.ESCALATED: lambda: escalate(incident, by=by, now=now, reason=why),
        Status.IGNORED: lambda: ignore(incident, by=by, now=now, reason=why),
        Status.DETECTED: lambda: reopen(incident, by=by, now=now, reason=why),
    }
    return verbs[Status(status)]()


def waive(run: Run, *, by: Actor, now: datetime, reason: str) -> Run:
    """Give a run up with a reason; its incidents no longer wait for it. Idempotent."""
    # Incidents before runs: the lock order of the house.
    incidents = Incident.objects.for_tenant(run.tenant_id).filter(affected__run=run)
    held = list(incidents.select_for_update(of=("self",)).order_by("id"))
    current: Run = Run.objects.for_tenant(run.tenant_id).select_for_update().get(pk=run.pk)
    if current.state not in UNRECOVERED:
        return current
    current.state, current.recovered_at, current.recovery_note = RunState.WAIVED, now, reason
    current.version += 1
    current.save(update_fields=["state", "recovered_at", "recovery_note", "version"])
    journal.record(current, "waived", by=by, at=now, reason=reason, run=current.run_id)
    for incident in held:
        incident.unrecovered_runs -= 1
        keeping.save(incident, "run_waived", by=by, now=now, run=current.run_id, reason=reason)
    return current


def _waive_all(runs: Sequence[Run], *, by: Actor, now: datetime, reason: str) -> None:
    """Give many runs up at once, as `waive` does one; the incidents they hurt are locked already."""
    tenant_id = runs[0].tenant_id
    mine = Run.objects.for_tenant(tenant_id).filter(pk__in=[run.pk for run in runs]).unrecovered()
    hurt = {run.pk: run for run in mine.select_for_update().order_by("id")}
    mine.update(
        state=RunState.WAIVED, recovered_at=now, recovery_note=reason, version=F("version") + 1
    )
    lines = [
        journal.Line(run, "waived", {"reason": reason, "run": run.run_id}) for run in hurt.values()
    ]
    journal.record_many(lines, by=by, at=now)
    freed: dict[UUID, list[str]] = defaultdict(list)
    ledger = AffectedRun.objects.for_tenant(tenant_id).filter(run__in=hurt).order_by("id")
    for incident_id, run_id in ledger.values_list("incident_id", "run_id"):
        freed[incident_id].append(hurt[run_id].run_id)
    for incident in Incident.objects.for_tenant(tenant_id).filter(pk__in=freed).order_by("id"):
        given_up = freed[incident.pk]
        incident.unrecovered_runs -= len(given_up)
        named = ", ".join(given_up[:RUNS_NAMED])
        count = len(given_up)
        keeping.save(incident, "run_waived", by=by, now=now, run=named, runs=count, reason=reason)


def _unrecovered(incident: Incident) -> list[Run]:
    mine = Run.objects.for_tenant(incident.tenant_id).unrecovered()
    ids = AffectedRun.objects.for_tenant(incident.tenant_id).filter(incident=incident)
    return list(mine.filter(pk__in=ids.values("run_id")).order_by("id"))


def _end_acknowledgement(incident: Incident) -> None:
    incident.acknowledged_at, incident.acknowledged_by = None, ""
    incident.acknowledged_until = None


def start_over(incident: Incident, *, now: datetime) -> None:
    """As it was before anybody decided or looked, in memory."""
    incident.decided_at = incident.planned_at = None
    _end_acknowledgement(incident)
    incident.snoozed_until = incident.snooze = None
    incident.resolved_at, incident.resolved_reason = None, ""
    incident.escalated_at, incident.escalated_reason = None, ""
    incident.opened_at = now


def _move(
    incident: Incident, status: Status, verb: str, *, by: Actor, now: datetime, **detail: Any
) -> Incident:
    """`incident` is the locked row, perhaps with other fields already set for this move."""
    if incident.status == status:
        return incident
    _refuse_unless_allowed(incident, status)
    before, incident.status = incident.status, status
    if status in WAKES:
        incident.snoozed_until = incident.snooze = None
    return keeping.save(incident, verb, by=by, now=now, before=before, after=str(status), **detail)


def _refuse_unless_allowed(incident: Incident, status: str) -> None:
    if status not in ALLOWED[incident.status]:
        raise TransitionRefused(current=incident.status, asked=status)
