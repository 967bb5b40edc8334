"""The only door through which people allow or refuse what waits for them: votes on a plan as they saw it.

1. Lock the actions that wait, in id order, then the approval.
2. Refuse who asked for it, what was edited, and a plan that is not the one the person saw.
3. The first vote closes the plan: whoever joins later is asked about apart.
4. The vote that makes the quorum lets every action of the plan run that is still needed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import F, Func, JSONField, Value

from actions import approval_plans, approvals, lifecycle, terms
from actions.approval_plans import Plan
from actions.lifecycle import ActionRefused
from actions.models import Action, Approval, ApprovalVote
from actions.states import ActionType, ApprovalStatus, Status
from actions.vote_refusals import ApprovalRefused, OfCampaign, OwnRequest, PlanChanged
from incidents.states import UNRECOVERED
from tenants import journal
from tenants.journal import SYSTEM, Actor
from tenants.models import Tenant

RECOVERED = "The run recovered before anybody decided."


def approve(
    approval: Approval, *, by: Actor, now: datetime, seen: str = "", reason: str = ""
) -> Approval:
    """Vote for the plan; with the quorum it runs. `seen` is the plan's hash as the person saw it.

    Quiet when it is approved already or the person voted. Raises ApprovalRefused, OwnRequest, PlanChanged.
    """
    approval, members = hold(approval)
    if approval.status == ApprovalStatus.APPROVED:
        return approval
    _refuse(approval, by=by, now=now)
    plan = approval_plans.plan_of(approval, seen=seen)
    if not approvals.say(
        approval, is_for=True, plan_hash=plan.plan_hash, by=by, now=now, reason=reason
    ):
        return approval
    members = _close(approval, plan, members, now=now)
    names = _names_for(approval)
    if len(names) >= approval.quorum:
        return _allow(approval, members, names, by=by, now=now)
    _tell_how_many(approval, members, len(names))
    return approval


def reject(
    approval: Approval, *, by: Actor, now: datetime, reason: str, seen: str = ""
) -> Approval:
    """One word against is enough: what waits under it is skipped for good. Raises ApprovalRefused, PlanChanged."""
    approval, members = hold(approval)
    if approval.status == ApprovalStatus.REJECTED:
        return approval
    _refuse_decided(approval, now=now)
    plan = approval_plans.plan_of(approval, seen=seen)
    approvals.say(approval, is_for=False, plan_hash=plan.plan_hash, by=by, now=now, reason=reason)
    members = _close(approval, plan, members, now=now)
    why = f"{by.label} rejected it" + (f": {reason}" if reason else ".")
    lifecycle.move_all(
        members,
        Status.SKIPPED,
        "rejected",
        by=by,
        now=now,
        fields={"waiting_reason": why[:300]},
        reason=reason,
    )
    lifecycle.release_runs(members)
    return decide(approval, ApprovalStatus.REJECTED, by=by, now=now, runs=len(members))


def approve_action(
    action: Action, *, by: Actor, now: datetime, seen: str = "", reason: str = ""
) -> Action:
    """The same for one action: it leaves its group's plan for a plan of its own. Quiet when it may run already."""
    action = lifecycle.locked(action)
    if action.status != Status.AWAITING_APPROVAL:
        if action.status == Status.PENDING or action.parameters.get("approved_by"):
            return action
        raise ActionRefused(current=action.status, asked=Status.PENDING)
    approve(_alone(action, seen, now=now), by=by, now=now, reason=reason)
    return lifecycle.locked(action)


def reject_action(
    action: Action, *, by: Actor, now: datetime, reason: str = "", seen: str = ""
) -> Action:
    """Refuse one waiting action for good. Quiet when it is skipped already."""
    action = lifecycle.locked(action)
    if action.status == Status.SKIPPED:
        return action
    if action.status != Status.AWAITING_APPROVAL:
        raise ActionRefused(current=action.status, asked=Status.SKIPPED)
    reject(_alone(action, seen, now=now), by=by, now=now, reason=reason)
    return lifecycle.locked(action)


def run_action(action: Action, *, by: Actor, now: datetime, seen: str = "") -> Action:
    """Try now instead of later; of what waits for approval it is one person's approval.

    Where that is not enough (a quorum, the person's own request) it comes forward and its start asks people.
    """
    if lifecycle.locked(action).status == Status.AWAITING_APPROVAL:
        return approve_action(action, by=by, now=now, seen=seen)
    needed = Tenant.objects.get(pk=action.tenant_id).approvals_needed
    return lifecycle.run_now(
        action, by=by, now=now, allows=needed <= 1 and not approvals.is_requester(action, by)
    )


def hold(approval: Approval) -> tuple[Approval, list[Action]]:
    """The actions that wait, then the approval, locked; what joined in between is locked without waiting for it."""
    held = list(_lockable(approval).select_for_update(of=("self",)))
    approval = approvals.locked(approval)
    late = _lockable(approval).exclude(pk__in=[action.pk for action in held])
    held += late.select_for_update(of=("self",), skip_locked=True)
    return approval, held


def decide(
    approval: Approval, status: ApprovalStatus, *, by: Actor, now: datetime, **detail: Any
) -> Approval:
    """Close a locked approval for good, with one line."""
    approval.status, approval.decided_at = status, now
    approval.version += 1
    approval.save(update_fields=["status", "decided_at", "plan_hash", "until_id", "version"])
    incident = str(approval.incident_id) if approval.incident_id else None
    journal.record(approval, str(status), by=by, at=now, incident=incident, **detail)
    return approval


def _lockable(approval: Approval) -> Any:
    return approvals.waiting_members(approval).select_related("run")


def _refuse(approval: Approval, *, by: Actor, now: datetime) -> None:
    _refuse_decided(approval, now=now)
    if approvals.is_requester(approval, by):
        raise OwnRequest
    if changed := approvals.edited(approval):
        raise PlanChanged(approvals.members(approval).count(), changed)


def _refuse_decided(approval: Approval, *, now: datetime) -> None:
    if "campaign" in approval.terms:
        raise OfCampaign
    if approval.status != ApprovalStatus.WAITING:
        raise ApprovalRefused(approval.status)
    if approval.expires_at <= now:
        raise ApprovalRefused(ApprovalStatus.EXPIRED)  # the sweep has not come by yet


def _close(
    approval: Approval, plan: Plan, members: Sequence[Action], *, now: datetime
) -> list[Action]:
    """Nobody joins a plan that is voted on; returns those in it, and asks about the others apart."""
    inside = [m for m in members if plan.until_id is None or m.pk <= plan.until_id]
    if approval.plan_hash:
        return inside
    approval.plan_hash, approval.until_id = plan.plan_hash, plan.until_id
    approval.save(update_fields=["plan_hash", "until_id"])
    joined = [member for member in members if member not in inside]
    mine = Action.objects.for_tenant(approval.tenant_id)
    mine.filter(pk__in=[action.pk for action in joined]).update(approval=None)
    approvals.ask(joined, by=SYSTEM, now=now)
    return inside


def _names_for(approval: Approval) -> list[str]:
    votes = ApprovalVote.objects.for_tenant(approval.tenant_id).filter(approval=approval)
    return list(
        votes.filter(is_for=True).order_by("at", "id").values_list("actor_label", flat=True)
    )


def _allow(
    approval: Approval, members: Sequence[Action], names: list[str], *, by: Actor, now: datetime
) -> Approval:
    needed = [member for member in members if is_needed(member)]
    spared = [member for member in members if member not in needed]
    merged = Func(
        F("parameters"),
        Value({"approved_by": ", ".join(names)}, output_field=JSONField()),
        template="(%(expressions)s)",
        arg_joiner=" || ",
        output_field=JSONField(),
    )
    lifecycle.move_all(
        needed,
        Status.PENDING,
        "approved",
        by=by,
        now=now,
        fields={"run_at": now, "waiting_reason": "", "parameters": merged},
        approval=str(approval.pk),
    )
    skip_recovered(spared, now=now)
    return decide(
        approval, ApprovalStatus.APPROVED, by=by, now=now, runs=len(needed), skipped=len(spared)
    )


def is_needed(action: Action) -> bool:
    """A run that recovered needs no retry any more; what compensates one is asked for because it did."""
    is_retry = action.action_type == ActionType.RETRY
    return not is_retry or action.run is None or action.run.state in UNRECOVERED


def skip_recovered(actions: Sequence[Action], *, now: datetime) -> None:
    """What waits for a person though its run needs nobody any more; the rows are locked."""
    fields = {"waiting_reason": RECOVERED}
    lifecycle.move_all(
        actions, Status.SKIPPED, "skipped", by=SYSTEM, now=now, fields=fields, reason=RECOVERED
    )


def _tell_how_many(approval: Approval, members: Sequence[Action], n_for: int) -> None:
    said = f"{n_for} of {approval.quorum} people have approved."
    mine = Action.objects.for_tenant(approval.tenant_id)
    mine.filter(pk__in=[member.pk for member in members]).update(
        waiting_reason=said, version=F("version") + 1
    )
    approval.version += 1
    approval.save(update_fields=["version"])
    journal.announce(approval)


def _alone(action: Action, seen: str, *, now: datetime) -> Approval:
    """The approval of this locked action and no other that waits: its own, or one made for it and closed."""
    plan = approval_plans.plan_of_action(action)
    if seen and seen != plan.plan_hash:
        approved = action.approval.terms if action.approval else {}
        raise PlanChanged(1, terms.changes(approved, terms.terms_of(action)))
    if (asked := _asked_alone(action)) is not None:
        return asked
    own = approvals.draft(
        action,
        terms.terms_hash(terms.terms_of(action), requested_by_id=action.requested_by_id),
        now=now,
    )
    own.plan_hash, own.until_id = plan.plan_hash, plan.until_id
    own.save(force_insert=True)
    Action.objects.for_tenant(action.tenant_id).filter(pk=action.pk).update(approval=own)
    return own


def _asked_alone(action: Action) -> Approval | None:
    asked: Approval | None = action.approval
    if asked is None or asked.status != ApprovalStatus.WAITING or approvals.edited(asked):
        return None
    others = approvals.waiting_members(asked).exclude(pk=action.pk)
    return None if others.exists() else asked
