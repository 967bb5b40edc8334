"""Turns a decision into actions, once: a retry for each hurt run, or one escalation of the incident."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from random import random
from uuid import UUID

from django.db import connection

from actions import approvals, lifecycle, retry
from actions.models import Action
from actions.states import ActionType, Status
from actions.terms import policy_of as policy_of
from awfdrs_site.lib import correlation, sweeping
from incidents import aliases, decisions, storms
from incidents import lifecycle as incident_lifecycle
from incidents.models import Decision, Incident, Run
from incidents.querysets import RunQuerySet
from incidents.states import OPEN, Choice, RunState
from safety import gate, rules
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


def plan_due(*, limit: int = SWEEP) -> int:
    """The sweep: plan every decision and every hurt run nobody has planned for; returns how many incidents."""
    with scoping.pipeline(), connection.cursor() as cursor:
        cursor.execute(_UNPLANNED, [limit])
        due = cursor.fetchall()
    return sweeping.each(
        due, lambda tenant_id, incident_id: plan(tenant_id=tenant_id, incident_id=incident_id)
    )


def plan(*, tenant_id: UUID, incident_id: UUID) -> list[Action]:
    """Make the missing actions of an incident's latest decision; planning twice makes none twice."""
    with scoping.bound(tenant_id, durable=True) as now:
        mine = Incident.objects.for_tenant(tenant_id).select_related("tenant", "workflow", "vendor")
        incident = mine.select_for_update(of=("self",)).get(pk=incident_id)
        decision = _latest_decision(incident)
        if decision is None or incident.status not in OPEN or incident.decided_at is None:
            return []
        Incident.objects.for_tenant(tenant_id).filter(pk=incident_id).update(planned_at=now)
        unplanned = Run.objects.for_tenant(tenant_id).unplanned().filter(incident=incident)
        with correlation.correlated(decision.correlation_id):
            if decision.choice == Choice.RETRY:
                return _plan_retries(incident, decision, unplanned, now=now)
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
    incident = incident_lifecycle.locked(incident)
    if incident.status in OPEN:
        incident = incident_lifecycle.escalate(incident, by=SYSTEM, now=now, reason=reason)
    storm = storms.shelter_of(incident)
    # A key of its own, so that a failure that outlasts the storm is still told.
    kind = "escalate in storm" if storm else "escalate"
    action = create_once(
        Action(
            tenant_id=incident.tenant_id,
            action_type=ActionType.ESCALATE,
            dedupe_key=f"{kind}:{incident.pk}:{incident.regression_count}",
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


def _latest_decision(incident: Incident) -> Decision | None:
    mine = Decision.objects.for_tenant(incident.tenant_id).filter(incident=incident)
    found: Decision | None = mine.order_by("-id").first()
    return found


def _plan_retries(
    incident: Incident, decision: Decision, unplanned: RunQuerySet, *, now: datetime
) -> list[Action]:
    """Retries up to the storm limit; the runs beyond it are marked and wait for a person (rule 15)."""
    limit, n_unplanned = incident.tenant.storm_runs, unplanned.count()
    # Whatever else is hurt takes room, whoever planned for it: those keep their plans.
    room = max(0, limit - (incident.unrecovered_runs - n_unplanned))
    runs = list(unplanned.select_for_update().order_by("id")[: min(room, RUNS_PER_PLAN)])
    actions = _retries(incident, decision, runs, now=now)
    stored = _store(actions, now=now)
    planned = [action.run_id for action in actions if action.run_id is not None]
    Run.objects.for_tenant(incident.tenant_id).filter(pk__in=planned).update(
        state=RunState.RETRY_SCHEDULED, planned_at=now
    )
    if n_unplanned > len(runs) == room:
        _leave_to_people(incident, decision, unplanned, now=now)
    return stored


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
        in_force = _rules_now(kin)
        why = "" if kin == incident else _why_not(kin, in_force)
        untold = [run for run in theirs if run.workflow_id != kin.workflow_id]
        _leave(incident, decision, theirs if why else untold, why or UNTOLD, now=now)
        if not why:
            verdict = gate.check(decisions.facts_of_permission(kin))
            told = [run for run in theirs if run.workflow_id == kin.workflow_id]
            actions += [_retry(kin, decision, run, in_force, verdict, now=now) for run in told]
    return actions


def _why_not(kin: Incident, in_force: Effective) -> str:
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


def _rules_now(incident: Incident) -> Effective:
    return rules.effective_for(
        tenant_id=incident.tenant_id,
        workflow=incident.workflow.slug,
        vendor=incident.vendor.name if incident.vendor else "",
        error_code=incident.error_code,
        category=incident.category,
    )


def _retry(
    incident: Incident,
    decision: Decision,
    run: Run,
    in_force: Effective,
    verdict: gate.Verdict,
    *,
    now: datetime,
) -> Action:
    policy = in_force.retry
    wait = retry.delay_seconds(policy, attempt=1, random=random, retry_after_seconds=None)
    needs_person = verdict.effect == "approve"
    return Action(
        tenant_id=incident.tenant_id,
        action_type=ActionType.RETRY,
        status=Status.AWAITING_APPROVAL if needs_person else Status.PENDING,
        dedupe_key=f"retry:{run.pk}:{run.episode}:{decision.pk}",
        incident=incident,
        run=run,
        decision=decision,
        workflow_id=incident.workflow_id,
        vendor_id=incident.vendor_id,
        policy={**asdict(policy), "timeout_seconds": in_force.timeout_seconds},
        gates=verdict.as_json(),
        result={"waited_seconds": wait},  # decorrelated jitter spreads the next wait by it
        waiting_reason=verdict.reason[:300],
        attempts_max=policy.max_retries,
        run_at=now + timedelta(seconds=wait),
        requested_by=SYSTEM.label,
        correlation_id=decision.correlation_id,
        created_at=now,
    )


def _store(actions: Sequence[Action], *, now: datetime) -> list[Action]:
    if not actions:
        return []
    Action.objects.bulk_create(actions, ignore_conflicts=True)
    mine = Action.objects.for_tenant(actions[0].tenant_id)
    stored = list(mine.filter(pk__in=[action.pk for action in actions]).order_by("id"))
    journal.record_many(
        [
            journal.Line(
                action,
                "planned",
                {
                    "action_type": action.action_type,
                    "status": action.status,
                    "run_at": action.run_at.isoformat(),
                    "incident": str(action.incident_id),
                    "run": str(action.run_id),
                },
            )
            for action in stored
        ],
        by=SYSTEM,
        at=now,
    )
    waiting = [action for action in stored if action.status == Status.AWAITING_APPROVAL]
    approvals.ask(waiting, by=SYSTEM, now=now)
    return stored


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
