"""What ends or renews a request for permission without a person: time, recovery, an edit, a request never made."""

from uuid import UUID

from actions import approvals, lifecycle, planning, voting
from actions.models import Action, Approval
from actions.states import ApprovalStatus, Status
from awfdrs_site.lib import sweeping
from incidents.models import Incident
from tenants import scoping
from tenants.journal import SYSTEM

SWEEP = 200

_EXPIRED = """
select tenant_id, id from actions_approval
where status = 'waiting' and expires_at <= awf_now() order by expires_at, id limit %s
"""
# Any member tells what the terms are now. Without members it is a campaign's, which looks after its own.
_EDITED = """
select asked.tenant_id, asked.id
from actions_approval asked
cross join lateral (
  select workflow_id, vendor_id, action_type from actions_action
  where tenant_id = asked.tenant_id and approval_id = asked.id order by id limit 1
) member
join tenants_workflow workflow on workflow.tenant_id = asked.tenant_id and workflow.id = member.workflow_id
left join tenants_vendor vendor on vendor.tenant_id = asked.tenant_id and vendor.id = member.vendor_id
where asked.status = 'waiting' and (
  asked.terms->>'call' <> case member.action_type when 'rollback' then workflow.compensate_url
                          else workflow.retry_url end
  or asked.terms->>'idempotent' <> workflow.idempotent
  or asked.terms->>'vendor' <> coalesce(vendor.name, ''))
limit %s
"""
_IDLE = """
select asked.tenant_id, asked.id
from actions_approval asked
where asked.status = 'waiting'
  and exists (select from actions_action
              where tenant_id = asked.tenant_id and approval_id = asked.id)
  and not exists (select from actions_action
                  where tenant_id = asked.tenant_id and approval_id = asked.id
                    and status = 'awaiting_approval')
limit %s
"""
_RECOVERED = """
select action.tenant_id, action.id
from actions_action action join incidents_run run
  on run.tenant_id = action.tenant_id and run.id = action.run_id
where action.status = 'awaiting_approval' and action.action_type = 'retry'
  and run.state not in ('failed', 'retry_scheduled')
order by action.id limit %s
"""
_UNASKED = """
select action.tenant_id, action.id
from actions_action action left join actions_approval asked
  on asked.tenant_id = action.tenant_id and asked.id = action.approval_id
where action.status = 'awaiting_approval' and action.campaign_id is null
  and asked.status is distinct from 'waiting'
order by action.id limit %s
"""


def keep_due(*, limit: int = SWEEP) -> int:
    """The sweep: everything here, once; returns how much there was to do."""
    return (
        sweeping.each_tenant(scoping.found(_RECOVERED, [limit]), _spare)
        + sweeping.each_tenant(scoping.found(_UNASKED, [limit]), _ask)
        + sweeping.each(scoping.found(_EDITED, [limit]), _renew)
        + sweeping.each(scoping.found(_IDLE, [limit]), _end)
        + expire_due(limit=limit)
    )


def expire_due(*, limit: int = SWEEP) -> int:
    """End what nobody decided in time, and tell people once per incident."""
    return sweeping.each(scoping.found(_EXPIRED, [limit]), _expire)


def _waiting(tenant_id: UUID, action_ids: list[UUID]) -> list[Action]:
    mine = Action.objects.for_tenant(tenant_id).select_related("run").order_by("id")
    waiting = mine.filter(pk__in=action_ids, status=Status.AWAITING_APPROVAL)
    return list(waiting.select_for_update(of=("self",)))


def _spare(tenant_id: UUID, action_ids: list[UUID]) -> None:
    with scoping.bound(tenant_id, durable=True) as now:
        held = _waiting(tenant_id, action_ids)
        needless = [action for action in held if not voting.is_needed(action)]
        voting.skip_recovered(needless, now=now)


def _ask(tenant_id: UUID, action_ids: list[UUID]) -> None:
    with scoping.bound(tenant_id, durable=True) as now:
        approvals.ask(_waiting(tenant_id, action_ids), by=SYSTEM, now=now)


def _renew(tenant_id: UUID, approval_id: UUID) -> None:
    """Whoever looked at the old terms is told by the old page; the new ones are asked about anew."""
    with scoping.bound(tenant_id, durable=True) as now:
        approval, _ = voting.hold(_get(tenant_id, approval_id))
        if changed := approvals.edited(approval):
            approvals.ask(approvals.void(approval, changed, now=now), by=SYSTEM, now=now)


def _end(tenant_id: UUID, approval_id: UUID) -> None:
    """Nothing waits under it any more: its runs recovered, or each was decided by itself."""
    with scoping.bound(tenant_id, durable=True) as now:
        approval, members = voting.hold(_get(tenant_id, approval_id))
        if not members and approval.status == ApprovalStatus.WAITING:
            n_actions = approvals.members(approval).count()
            approvals.void(approval, {"waiting": [n_actions, 0]}, now=now)


def _expire(tenant_id: UUID, approval_id: UUID) -> None:
    with scoping.bound(tenant_id, durable=True) as now:
        # Actions, then the incidents that will be told, then the approval: the order of every lock.
        asked = _get(tenant_id, approval_id)
        told = _incidents_of(asked)
        approval, members = voting.hold(asked)
        if approval.status != ApprovalStatus.WAITING or approval.expires_at > now:
            return
        hours = (approval.expires_at - approval.created_at).total_seconds() / 3600
        why = f"Nobody decided within {hours:g} hours whether it may run."
        lifecycle.move_all(
            members,
            Status.SKIPPED,
            "expired",
            by=SYSTEM,
            now=now,
            fields={"waiting_reason": why},
            reason=why,
        )
        lifecycle.release_runs(members)
        voting.decide(approval, ApprovalStatus.EXPIRED, by=SYSTEM, now=now, runs=len(members))
        for incident in told if members else ():
            planning.escalation(incident, why, now=now)


def _incidents_of(approval: Approval) -> list[Incident]:
    """Those that wait for what is asked about, locked after its actions; after a merge not the one that asked."""
    members = approvals.waiting_members(approval).select_related("run")
    held = list(members.select_for_update(of=("self",)))
    ids = {a.run.incident_id if a.run and a.run.incident_id else a.incident_id for a in held}
    mine = Incident.objects.for_tenant(approval.tenant_id).filter(pk__in=ids - {None})
    return list(mine.order_by("id").select_for_update())


def _get(tenant_id: UUID, approval_id: UUID) -> Approval:
    found: Approval = Approval.objects.for_tenant(tenant_id).get(pk=approval_id)
    return found
