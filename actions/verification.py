"""Completed is not fixed: an accepted retry is verified by success evidence of its run, or people are told."""

from uuid import UUID

from django.db import connection

from actions import lifecycle, planning
from actions.lifecycle import Change
from actions.models import Action
from actions.states import Status, Verification
from awfdrs_site.lib import sweeping
from safety import killswitch
from tenants import scoping
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
_PARKED = "select tenant_id, id from actions_action where status = 'parked' order by id limit %s"


def verify_due(*, limit: int = SWEEP) -> int:
    """The sweep: judge the retries whose evidence has come, or has not within 15 minutes."""
    return sweeping.each(_find(_UNVERIFIED, limit), _verify)


def release_parked(*, limit: int = SWEEP) -> int:
    """The sweep: let parked actions go that no kill switch holds any more; returns how many it let go."""
    released: list[UUID] = []
    sweeping.each(
        _find(_PARKED, limit),
        lambda tenant_id, action_id: released.extend(_release(tenant_id, action_id)),
    )
    return len(released)


def _find(statement: str, limit: int) -> list[tuple[UUID, UUID]]:
    with scoping.pipeline(), connection.cursor() as cursor:
        cursor.execute(statement, [limit])
        return [(row[0], row[1]) for row in cursor.fetchall()]


def _release(tenant_id: UUID, action_id: UUID) -> list[UUID]:
    with scoping.bound(tenant_id, durable=True) as now:
        mine = Action.objects.for_tenant(tenant_id).select_for_update()
        action = mine.filter(pk=action_id, status=Status.PARKED).first()
        if action is None:
            return []
        scopes = killswitch.Scopes(
            tenant_id, action.action_type, action.workflow_id, action.vendor_id
        )
        if killswitch.holding(scopes, now=now):
            return []
        action.run_at, action.waiting_reason = max(action.run_at, now), ""
        lifecycle.move(action, Status.PENDING, "released", by=SYSTEM, now=now)
    return [action_id]


def _verify(tenant_id: UUID, action_id: UUID) -> None:
    with scoping.bound(tenant_id, durable=True) as now:
        mine = Action.objects.for_tenant(tenant_id).select_for_update()
        action = mine.filter(pk=action_id, verification=Verification.PENDING).first()
        if action is None:
            return
        run = lifecycle.run_of(action)
        if run.succeeded_at and action.started_at and run.succeeded_at > action.started_at:
            action.verification = Verification.VERIFIED
            evidence = {"evidence": str(run.success_event_id)}
            if action.status == Status.UNKNOWN:
                # The run succeeded, so the call we could not see had arrived.
                lifecycle.move(action, Status.COMPLETED, "verified", by=SYSTEM, now=now, **evidence)
            else:
                lifecycle.save(action, Change("verified", evidence), by=SYSTEM, now=now)
            return
        failed_again = (
            run.failure_received_at is not None
            and action.settled_at is not None
            and run.failure_received_at > action.settled_at
        )
        reason = (
            "The run failed again after its retry was accepted."
            if failed_again
            else "No success of the run was reported within 15 minutes of the accepted retry."
        )
        action.verification = Verification.NOT_VERIFIED
        lifecycle.save(action, Change("not_verified", {"reason": reason}), by=SYSTEM, now=now)
        planning.escalation(lifecycle.waited_for_by(action), reason, now=now)
