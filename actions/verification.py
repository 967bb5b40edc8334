"""Completed is not fixed: an accepted retry is verified by success evidence of its run, or people are told."""

from datetime import datetime
from uuid import UUID

from actions import ladder, lifecycle, planning
from actions.lifecycle import Change
from actions.models import Action
from actions.states import ActionType, Status, Verification
from awfdrs_site.lib import sweeping
from incidents.models import Run
from incidents.states import RunState
from incidents.states import Status as IncidentStatus
from tenants import journal, scoping
from tenants.journal import SYSTEM

SWEEP = 200

_UNVERIFIED = """
select action.tenant_id, action.id
from actions_action action join incidents_run run
  on run.tenant_id = action.tenant_id and run.id = action.run_id
where action.verification = 'pending' and (
  run.succeeded_at > action.started_at
  or action.status = 'completed' and (
    action.settled_at < awf_now() - interval '15 minutes'
    or run.failure_received_at > action.settled_at))
order by action.id limit %s
"""


def move_run(action: Action, before: RunState, after: RunState) -> None:
    """Show the run of a retry elsewhere, unless a report or a person moved it meanwhile."""
    run = lifecycle.run_of(action, lock=True)
    if run.state != before:
        return
    run.state, run.version = after, run.version + 1
    run.save(update_fields=["state", "version"])
    journal.announce(run)


def verify_due(*, limit: int = SWEEP) -> int:
    """The sweep: judge the retries whose evidence has come, or has not within 15 minutes."""
    return sweeping.each(scoping.found(_UNVERIFIED, [limit]), _verify)


def _verify(tenant_id: UUID, action_id: UUID) -> None:
    with scoping.bound(tenant_id, durable=True) as now:
        mine = Action.objects.for_tenant(tenant_id).select_for_update()
        action = mine.filter(pk=action_id, verification=Verification.PENDING).first()
        if action is None:
            return
        run = lifecycle.run_of(action)
        if succeeded_since(run, action):
            _verified(action, str(run.success_event_id), now=now)
        else:
            _not_verified(action, run, now=now)


def succeeded_since(run: Run, action: Action) -> bool:
    """Whether the run of a call reported success after an attempt of it was started."""
    return bool(run.succeeded_at and action.started_at and run.succeeded_at > action.started_at)


def _verified(action: Action, event_id: str, *, now: datetime) -> None:
    action.verification = Verification.VERIFIED
    evidence = {"evidence": event_id}
    if action.status != Status.UNKNOWN:
        lifecycle.save(action, Change("verified", evidence), by=SYSTEM, now=now)
        return
    # The run succeeded, so the call we could not see had arrived.
    action.settled_at, action.waiting_reason = now, ""
    lifecycle.move(action, Status.COMPLETED, "verified", by=SYSTEM, now=now, **evidence)


def _not_verified(action: Action, run: Run, *, now: datetime) -> None:
    reason = _why_not(action, run)
    action.verification = Verification.NOT_VERIFIED
    lifecycle.save(action, Change("not_verified", {"reason": reason}), by=SYSTEM, now=now)
    incident = lifecycle.waited_for_by(action)
    if run.state != RunState.WAIVED and incident.status != IncidentStatus.IGNORED:
        planning.escalation(incident, reason, now=now)
    if action.action_type == ActionType.RETRY:
        # Nothing is under way for it any more, and a page that said so would be believed.
        move_run(action, RunState.RETRY_SCHEDULED, RunState.FAILED)
        ladder.lose(action, incident, now=now)


def _why_not(action: Action, run: Run) -> str:
    what = "compensation" if action.action_type == ActionType.ROLLBACK else "retry"
    failed_at, settled_at = run.failure_received_at, action.settled_at
    if failed_at is not None and settled_at is not None and failed_at > settled_at:
        return f"The run failed again after its {what} was accepted."
    return f"No success of the run was reported within 15 minutes of the accepted {what}."
