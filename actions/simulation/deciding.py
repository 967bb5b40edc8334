"""The only place that decides incidents and plans for their runs in a pass, by the engine's own conclusions."""

from datetime import datetime

from actions import planning
from actions.simulation import trying
from actions.simulation.kept import Decided
from actions.simulation.world import LAG, Case, World
from awfdrs_site.lib.ids import uuid7
from incidents import concluding, decisions
from incidents.models import Decision, Run
from incidents.runs import Key
from incidents.states import OPEN, Choice, RunState
from incidents.states import Status as IncidentStatus

_LEADS_TO = {
    Choice.RETRY: IncidentStatus.ANALYZING,
    Choice.ESCALATE: IncidentStatus.ESCALATED,
}


def soon(world: World, case: Case, *, now: datetime) -> None:
    """Decide it when it was decided, or as soon as a worker would have."""
    recorded = _recorded(world, case)
    at = recorded.at if recorded else now + LAG
    world.at(max(at, now), 2, decide, case, case.incident.opened_at)


def _recorded(world: World, case: Case) -> Decided | None:
    """The decision that was made of this opening."""
    made = world.past.decisions.get(case.real_id, ()) if case.real_id else ()
    return next((one for one in made if one.at >= case.incident.opened_at), None)


def plan_soon(world: World, case: Case, key: Key, run: Run, *, now: datetime) -> None:
    world.at(_planned_at(world, key, run, now), 3, _plan, case)


def decide(world: World, case: Case, opened_at: datetime, *, now: datetime) -> None:
    """Once an opening."""
    incident = case.incident
    is_over = incident.status not in OPEN or incident.opened_at != opened_at
    if is_over or case.decision is not None:
        return
    known = world.known(now)
    in_force = decisions.rules_for(incident, known=known)
    recorded = _recorded(world, case)
    record = recorded.record if recorded else None
    inputs = decisions.inputs_of(incident, in_force, known, record=record)
    concluded = concluding.conclude(inputs, in_force)
    case.decision = Decision(
        id=uuid7(now),
        tenant=world.past.tenant,
        incident=incident,
        correlation_id="simulation",
        inputs=inputs,
        **concluded.as_json(),
    )
    incident.decided_at = now
    shown = world.story.incidents.get(case.key)
    if shown is not None and not shown.choice:
        shown.choice = str(concluded.choice)
    if case.is_new and incident.status == IncidentStatus.DETECTED:
        incident.status = _LEADS_TO.get(concluded.choice, IncidentStatus.DETECTED)
    for key, run in case.unplanned.items():
        plan_soon(world, case, key, run, now=now)
    world.at(now, 3, _plan, case)


def _plan(world: World, case: Case, *, now: datetime) -> None:
    decision = case.decision
    if decision is None or case.incident.status not in OPEN:
        return
    due = _due(world, case, now=now)
    if decision.choice == Choice.RETRY:
        _plan_retries(world, case, due, now=now)
        return
    _take(case, due, now=now)
    if decision.choice == Choice.ESCALATE:
        world.call_people(case)


def _plan_retries(world: World, case: Case, due: list[tuple[Key, Run]], *, now: datetime) -> None:
    """Retries up to the storm limit, as far as the rules as they are by now let them go."""
    incident = case.incident
    room = planning.room_for(incident, len(due))
    in_force = decisions.rules_for(incident, known=world.known(now))
    is_as_decided = in_force.mode in ("approve", "auto")
    why = "" if is_as_decided else planning.why_not(incident, in_force)
    _take(case, due, now=now)
    if due and (why or len(due) > room):
        world.call_people(case)
    for key, run in due[:room] if not why else ():
        trying.propose(world, case, key, run, in_force, now=now)


def _due(world: World, case: Case, *, now: datetime) -> list[tuple[Key, Run]]:
    found = []
    for key, run in list(case.unplanned.items()):
        if run.state != RunState.FAILED or run.incident_id != case.incident.pk:
            del case.unplanned[key]
        elif _planned_at(world, key, run, now - LAG) <= now:
            found.append((key, run))
    return found


def _take(case: Case, due: list[tuple[Key, Run]], *, now: datetime) -> None:
    for key, run in due:
        run.planned_at = now
        case.unplanned.pop(key, None)


def _planned_at(world: World, key: Key, run: Run, now: datetime) -> datetime:
    recorded = world.past.planned.get((key, run.episode), ())
    return next((one.created_at for one in recorded if one.created_at >= now), now + LAG)
