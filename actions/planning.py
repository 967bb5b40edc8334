"""Turns a decision into actions, once: a retry for each hurt run, or one escalation of the incident."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection

from actions import lifecycle, proposals
from actions.models import Action
from actions.states import ActionType, Status
from actions.terms import policy_of as policy_of
from awfdrs_site.lib import correlation, sweeping
from incidents import aliases, decisions, keeping, storms
from incidents import lifecycle as incident_lifecycle
from incidents.models import Decision, Incident, Run
from incidents.querysets import RunQuerySet
from incidents.states import OPEN, Choice, RunState
from safety import gate
from safety.effective import Effective
from tenants import journal, scoping
from tenants.journal import SYSTEM, Actor

RUNS_PER_PLAN = 500  # one transaction's worth; the sweep comes back for the rest
SWEEP = 100
ESCALATION_ATTEMPTS = 10
UNTOLD = "Its failure was of another workflow than the incident's, and is not known any more."

_UNPLANNED = """
select tenant_id, id from incidents_incident
where planned_at is null and decided_at is not null and status in ('detected', 'analyzing', 'escalated')
union
select incident.tenant_id, incident.id
from incidents_run run join incidents_incident incident
  on incident.tenant_id = run.tenant_id and incident.id = run.incident_id
where run.state = 'failed' and run.planned_at is null
  and incident.decided_at is not null and incident.status in ('detected', 'analyzing', 'escalated')
limit %s
"""
# People were told and nothing is retried: one more failed run changes nothing, and takes no lock that events wait for.
_LEFT_TO_WHO_WAS_TOLD = """
with told as (
  select incident.id
  from incidents_incident incident
  where incident.tenant_id = %(tenant)s and incident.id = any(%(incidents)s)
    and incident.status = 'escalated' and incident.decided_at is not null and incident.planned_at is not null
    and (select decision.choice = 'escalate' and decision.rules #>> '{mode,value}' is distinct from 'shadow'
         from incidents_decision decision
         where decision.tenant_id = incident.tenant_id and decision.incident_id = incident.id
         order by decision.id desc limit 1)
    and exists (
      select from actions_action told
      where told.tenant_id = incident.tenant_id and told.incident_id = incident.id
        and told.action_type = 'escalate' and told.created_at >= incident.opened_at
        and (told.status <> 'skipped' or exists (
          select from incidents_incident storm
          where storm.tenant_id = incident.tenant_id and storm.id = incident.parent_id
            and storm.status in ('detected', 'analyzing', 'escalated'))))
)
update incidents_run run set planned_at = awf_now(), recovery_note = ''
from told
where run.tenant_id = %(tenant)s and run.incident_id = told.id and run.state = 'failed' and run.planned_at is null
returning told.id
"""


def plan_due(*, limit: int = SWEEP) -> int:
    """The sweep: plan every decision and every hurt run nobody has planned for; returns how many incidents."""
    due = scoping.found(_UNPLANNED, [limit])
    left = _leave_to_who_was_told(due)
    planned = sweeping.each(
        [one for one in due if one not in left],
        lambda tenant_id, incident_id: plan(tenant_id=tenant_id, incident_id=incident_id),
    )
    return len(left) + planned


def _leave_to_who_was_told(due: Sequence[tuple[UUID, UUID]]) -> set[tuple[UUID, UUID]]:
    """Those of them that are done with: every failed run of theirs is planned by it."""
    left: set[tuple[UUID, UUID]] = set()

    def leave(tenant_id: UUID, incidents: list[UUID]) -> None:
        with scoping.bound(tenant_id, durable=True), connection.cursor() as cursor:
            cursor.execute(_LEFT_TO_WHO_WAS_TOLD, {"tenant": tenant_id, "incidents": incidents})
            found = cursor.fetchall()
        left.update((tenant_id, incident_id) for (incident_id,) in found)

    sweeping.each_tenant(due, leave)
    return left


def plan(*, tenant_id: UUID, incident_id: UUID) -> list[Action]:
    """Make the missing actions of an incident's latest decision; planning twice makes none twice."""
    with scoping.bound(tenant_id, durable=True) as now:
        mine = Incident.objects.for_tenant(tenant_id).select_related("tenant", "workflow", "vendor")
        incident = mine.select_for_update(of=("self",)).get(pk=incident_id)
        decision = _latest_decision(incident)
        if decision is None or incident.status not in OPEN or incident.decided_at is None:
            return []
        if incident.planned_at is None:
            Incident.objects.for_tenant(tenant_id).filter(pk=incident_id).update(planned_at=now)
        unplanned = Run.objects.for_tenant(tenant_id).unplanned().filter(incident=incident)
        with correlation.correlated(decision.correlation_id):
            if decision.choice == Choice.RETRY:
                return _plan_retries(incident, decision, unplanned, now=now)
            _watch(incident, decision, unplanned, now=now)
            unplanned.update(planned_at=now, recovery_note="")
            if decision.choice == Choice.ESCALATE:
                return [escalation(incident, decision.reasons[-1], decision=decision, now=now)]
            return []


def escalation(
    incident: Incident, reason: str, *, now: datetime, decision: Decision | None = None
) -> Action:
    """Escalate the incident once per opening: its status, and one action that tells people.

    Part of a storm, it only changes its status: people are told once, by the storm.
    """
    incident = keeping.locked(incident)
    if incident.status in OPEN:
        incident = incident_lifecycle.escalate(incident, by=SYSTEM, now=now, reason=reason)
    storm = storms.shelter_of(incident)
    # A key of its own, so that a failure that outlasts the storm is still told.
    kind = "escalate in storm" if storm else "escalate"
    action = create_once(
        Action(
            tenant_id=incident.tenant_id,
            action_type=ActionType.ESCALATE,
            dedupe_key=f"{kind}:{incident.pk}:{incident.opened_at.isoformat()}",
            incident=incident,
            decision=decision,
            workflow_id=incident.workflow_id,
            vendor_id=incident.vendor_id,
            parameters={"reason": reason},
            attempts_max=ESCALATION_ATTEMPTS,
            run_at=now,
        ),
        by=SYSTEM,
        now=now,
    )
    if storm is not None and action.status == Status.PENDING:
        return lifecycle.skip(action, by=SYSTEM, now=now, reason=f"Part of storm {storm}.")
    return action


def _watch(
    incident: Incident, decision: Decision, unplanned: RunQuerySet, *, now: datetime
) -> None:
    """A decision of mode shadow: as many as would be retried are recorded, and none is sent."""
    if decision.rules.get("mode", {}).get("value") != "shadow":
        return
    most = min(incident.tenant.storm_runs, RUNS_PER_PLAN)
    runs = list(unplanned.order_by("id")[:most])
    on_paper = _on_paper(incident, decision, runs, decisions.rules_for(incident), now=now)
    proposals.store(on_paper, now=now)


def _latest_decision(incident: Incident) -> Decision | None:
    mine = Decision.objects.for_tenant(incident.tenant_id).filter(incident=incident)
    found: Decision | None = mine.order_by("-id").first()
    return found


def _plan_retries(
    incident: Incident, decision: Decision, unplanned: RunQuerySet, *, now: datetime
) -> list[Action]:
    """Retries up to the storm limit; the runs beyond it are marked and wait for a person (rule 15)."""
    n_unplanned = unplanned.count()
    room = room_for(incident, n_unplanned)
    runs = list(unplanned.select_for_update().order_by("id")[: min(room, RUNS_PER_PLAN)])
    actions = _retries(incident, decision, runs, now=now)
    stored = proposals.store(actions, now=now)
    going = [action for action in actions if proposals.is_planned(action)]
    planned = [action.run_id for action in going if action.run_id is not None]
    Run.objects.for_tenant(incident.tenant_id).filter(pk__in=planned).update(
        state=RunState.RETRY_SCHEDULED, planned_at=now
    )
    if n_unplanned > len(runs) == room:
        _leave_to_people(incident, decision, unplanned, now=now)
    return stored


def room_for(incident: Incident, n_unplanned: int) -> int:
    """How many of them are retried without a person: whatever else is hurt takes room, and keeps its plan."""
    return max(0, incident.tenant.storm_runs - (incident.unrecovered_runs - n_unplanned))


def _retries(
    incident: Incident, decision: Decision, runs: Sequence[Run], *, now: datetime
) -> list[Action]:
    """A merged failure is retried as its own incident tells: the workflow, vendor, code and permission are its."""
    told_by = aliases.told_by(incident, runs)
    groups: dict[Incident, list[Run]] = defaultdict(list)
    for run in runs:
        groups[told_by.get(run.pk, incident)].append(run)
    actions: list[Action] = []
    for kin, theirs in groups.items():
        in_force = decisions.rules_for(kin)
        # Rules that were edited since the decision hold a retry back at once, and let none go before a new one.
        is_as_decided = kin == incident and in_force.mode in ("approve", "auto")
        why = "" if is_as_decided else why_not(kin, in_force)
        untold = [run for run in theirs if run.workflow_id != kin.workflow_id]
        _leave(incident, decision, theirs if why else untold, why or UNTOLD, now=now)
        if why:
            actions += _on_paper(kin, decision, theirs, in_force, now=now)
            continue
        told = [run for run in theirs if run.workflow_id == kin.workflow_id]
        actions += proposals.retries(kin, decision, told, in_force, now=now)
    return actions


def _on_paper(
    kin: Incident, decision: Decision, runs: Sequence[Run], in_force: Effective, *, now: datetime
) -> list[Action]:
    """What would run were the rules' mode not shadow; nothing where they allow no retry anyway."""
    is_shadowed = decisions.is_shadowed(
        in_force=in_force,
        has_retry_url=bool(kin.workflow.retry_url),
        classification=kin.classification,
    )
    if not is_shadowed:
        return []
    planned = proposals.retries(kin, decision, runs, in_force, now=now)
    return [proposals.on_paper(action, now=now) for action in planned]


def why_not(kin: Incident, in_force: Effective) -> str:
    """Why these rules would decide against a retry; empty where they would not."""
    chosen = decisions.choose(
        in_force=in_force,
        severity=kin.severity,
        has_retry_url=bool(kin.workflow.retry_url),
        classification=kin.classification,
    )
    return "" if chosen.choice == Choice.RETRY else f"{kin}: {chosen.reasons[1]}."


def _leave(
    incident: Incident, decision: Decision, runs: Sequence[Run], why: str, *, now: datetime
) -> None:
    """Runs of a merged failure that cannot be retried, among those of one that can: people are told."""
    if not runs:
        return
    mine = Run.objects.for_tenant(incident.tenant_id).filter(pk__in=[run.pk for run in runs])
    mine.update(planned_at=now, recovery_note=why)
    escalation(incident, why, now=now, decision=decision)


def _leave_to_people(
    incident: Incident, decision: Decision, unplanned: RunQuerySet, *, now: datetime
) -> None:
    """In one statement, however many: a storm of ten thousand runs costs no more than one of three hundred."""
    why = gate.storm_gate(decisions.storm_of(incident)).detail
    mine = Run.objects.for_tenant(incident.tenant_id).unrecovered().filter(incident=incident)
    is_first = not mine.filter(recovery_note=why).exists()
    n_runs = unplanned.update(planned_at=now, recovery_note=why)
    if is_first:
        journal.record(incident, "runs_wait", by=SYSTEM, at=now, reason=why, runs=n_runs)
        escalation(incident, why, now=now, decision=decision)


def create_once(action: Action, *, by: Actor, now: datetime) -> Action:
    """Insert it unless its purpose (`dedupe_key`) is served already; the one that is there is returned."""
    action.requested_by, action.created_at = by.label, now
    action.correlation_id = correlation.current()
    Action.objects.bulk_create([action], ignore_conflicts=True)
    mine = Action.objects.for_tenant(action.tenant_id)
    stored: Action = mine.get(dedupe_key=action.dedupe_key)
    if stored.pk == action.pk:
        journal.record(
            stored,
            "planned",
            by=by,
            at=now,
            action_type=stored.action_type,
            incident=str(stored.incident_id) if stored.incident_id else None,
        )
    return stored
