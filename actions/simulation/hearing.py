"""The only place that digests events in a pass: outcome, signature, incident, run, and what they say of a vendor."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from actions.simulation import deciding, trying
from actions.simulation.kept import Move
from actions.simulation.story import Opened
from actions.simulation.world import Case, World
from awfdrs_site.lib.ids import uuid7
from incidents import detection, grouping, learning, lifecycle, runs
from incidents.models import Incident, Run
from incidents.reading import Reading
from incidents.states import OPEN, UNRECOVERED, RunState
from incidents.states import Status as IncidentStatus

_CARRIED = (
    "id",
    "tenant_id",
    "title",
    "severity",
    "category",
    "error_code",
    "signature",
    "signature_version",
    "signature_components",
    "classification",
    "first_seen_at",
    "last_seen_at",
    "opened_at",
    "resolved_at",
)
_DESCRIBED = _CARRIED[2:10]


def hear(world: World, said: Reading, *, now: datetime) -> None:
    """The digest of one event."""
    said = _signed(world, said, now=now)
    case = _group(world, said, now=now) if said.counted_as else None
    run = _fold(world, said, case, now=now)
    _tell_safety(world, said, case, run, now=now)
    if case is not None and case.decision is None and case.incident.status in OPEN:
        deciding.soon(world, case, now=now)


def _signed(world: World, said: Reading, *, now: datetime) -> Reading:
    """With the signature that counts it: merges are as they are today, from when they were made."""
    said = learning.sign_one(said, world.leaves)
    led = world.past.aliases.get(said.counted_as)
    return replace(said, counted_as=led[1]) if led is not None and led[0] <= now else said


def _group(world: World, said: Reading, *, now: datetime) -> Case:
    """The incident that counts it: an open one, one that is over, or a new one."""
    case = world.open.get(said.counted_as) or _carried(world, said)
    before = world.closed.get(said.counted_as)
    if case is None and before is not None:
        case = _over(world, before, said, now=now)
    if case is None:
        case = _opened(world, said, before, now=now)
    incident = case.incident
    incident.event_count += 1
    incident.last_seen_at = max(incident.last_seen_at, said.event.occurred_at)
    incident.last_event_id = said.event.id
    if shown := world.story.incidents.get(case.key):
        shown.event_count += 1
    return case


def _over(world: World, before: Case, said: Reading, *, now: datetime) -> Case | None:
    """One that is over and counts it all the same, perhaps open again then."""
    if not grouping.belongs_to_closed(before.incident, [said], now=now):
        return None
    if before.is_new and grouping.came_back(before.incident, [said]):
        _reopen(world, before, now=now)
    return before


def _carried(world: World, said: Reading) -> Case | None:
    """The incident from before these days that counts it, when it is met for the first time and open."""
    past = world.past
    older = [one for one in past.by_signature.get(said.counted_as, ()) if not past.is_new(one)]
    if not older or older[-1].pk in world.of_real:
        return None
    real = older[-1]
    moves = past.moves.get(real.pk)
    incident = Incident(**{name: getattr(real, name) for name in _CARRIED})
    incident.status = moves[0].before if moves else real.status
    incident.tenant, incident.workflow, incident.vendor = past.tenant, real.workflow, real.vendor
    case = Case(world.next_key(said.counted_as), incident, is_new=False)
    _keep(world, case, real)
    return case if incident.status in OPEN else None


def _opened(world: World, said: Reading, before: Case | None, *, now: datetime) -> Case:
    past, event = world.past, said.event
    row = grouping.described(
        past.tenant.pk,
        said.counted_as,
        [said],
        before.incident if before else None,
        vendors=past.vendors,
        known=world.known(now),
        learned=past.learned,
        now=now,
    )
    incident = Incident(
        **{name: row[name] for name in _DESCRIBED},
        id=uuid7(now),
        tenant=past.tenant,
        workflow=past.workflows[UUID(row["workflow_id"])],
        status=IncidentStatus.DETECTED,
        first_seen_at=event.occurred_at,
        last_seen_at=event.occurred_at,
        opened_at=now,
    )
    incident.vendor = next(
        (v for v in past.vendors.values() if str(v.pk) == row["vendor_id"]), None
    )
    case = Case(world.next_key(said.counted_as), incident, is_new=True)
    mine = past.by_signature.get(said.counted_as, ())
    real = next((one for one in mine if past.is_new(one) and one.pk not in world.of_real), None)
    world.story.incidents[case.key] = _shown(incident, str(real) if real else "")
    _keep(world, case, real)
    return case


def _shown(incident: Incident, number: str) -> Opened:
    return Opened(
        incident.title,
        incident.workflow.slug,
        incident.severity,
        incident.category,
        incident.opened_at,
        number,
    )


def _keep(world: World, case: Case, real: Incident | None) -> None:
    world.file(case)
    if real is None:
        return
    case.real_id = real.pk
    world.of_real[real.pk] = case
    for move in world.past.moves.get(real.pk, ()):
        world.at(move.at, 0, _moved, case, move)


def _moved(world: World, case: Case, move: Move, *, now: datetime) -> None:
    """As people moved it."""
    incident = case.incident
    if move.verb in ("reopened", "regressed"):
        if incident.status not in OPEN:
            _reopen(world, case, now=now)
            deciding.soon(world, case, now=now)
        return
    incident.status = move.after or incident.status
    if incident.status == IncidentStatus.RESOLVED:
        incident.resolved_at = now
        _waive_what_is_left(world, case)
    world.file(case)


def _waive_what_is_left(world: World, case: Case) -> None:
    for run in case.runs.values():
        if run.state in UNRECOVERED:
            run.state = RunState.WAIVED
            for sharer in world.cases[run.pk]:
                sharer.incident.unrecovered_runs -= 1


def _reopen(world: World, case: Case, *, now: datetime) -> None:
    lifecycle.start_over(case.incident, now=now)
    case.incident.status, case.decision = IncidentStatus.DETECTED, None
    world.file(case)


def _fold(world: World, said: Reading, case: Case | None, *, now: datetime) -> Run | None:
    """What it makes of its run, and that of the counts of the incidents the run is hurt by."""
    if said.run_key is None or said.report is None:
        return world.runs.get(said.run_key) if said.run_key else None
    run = world.runs.get(said.run_key) or _new_run(world, said)
    was_hurt = run.state in UNRECOVERED
    runs.fold(run, [said], {said.counted_as: case.incident} if case else {}, now=now)
    is_hurt = run.state in UNRECOVERED
    if case is not None and run.incident_id == case.incident.pk:
        run.incident = case.incident  # nobody asks the database for it
    for one in world.cases[run.pk]:
        one.incident.unrecovered_runs += is_hurt - was_hurt
    if case is not None and run.pk not in case.runs:
        case.runs[run.pk] = run
        world.cases[run.pk].append(case)
        case.incident.affected_runs += 1
        case.incident.unrecovered_runs += is_hurt
    if was_hurt and not is_hurt:
        _recovered(world, run, now=now)
    if case is not None:
        _hurt(world, said, case, run, now=now)
    return run


def _new_run(world: World, said: Reading) -> Run:
    assert said.run_key is not None
    workflow = world.past.workflows[UUID(said.run_key[0])]
    run = Run(tenant=world.past.tenant, workflow=workflow, run_id=said.run_key[1])
    world.runs[said.run_key] = run
    return run


def _recovered(world: World, run: Run, *, now: datetime) -> None:
    for case in world.cases[run.pk]:
        incident = case.incident
        if case.is_new and not incident.unrecovered_runs and incident.status in OPEN:
            incident.status, incident.resolved_at = IncidentStatus.RESOLVED, now
            world.file(case)


def _hurt(world: World, said: Reading, case: Case, run: Run, *, now: datetime) -> None:
    assert said.run_key is not None
    trying.failed_again(world, said.run_key, run, now=now)
    if run.state == RunState.FAILED and run.planned_at is None:
        case.unplanned[said.run_key] = run
        deciding.plan_soon(world, case, said.run_key, run, now=now)


def _tell_safety(
    world: World, said: Reading, case: Case | None, run: Run | None, *, now: datetime
) -> None:
    vendor = world.past.vendors.get(said.event.vendor_name)
    categories = {said.signature.hash: case.incident.category} if said.signature and case else {}
    outcome = detection.says_of_vendor(said, categories)
    if vendor is None or outcome is None:
        return
    trying.hear_of_vendor(world, vendor, outcome, now=now)
    if run is None or run.attempted_at is None:
        world.book.originals[vendor.pk].append(now)
        world.story.bears(vendor.name, now)
