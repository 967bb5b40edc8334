"""The only place that asks for a retry to be undone, by the workflow itself: what was sent cannot be called back."""

from datetime import datetime

from actions import approvals, lifecycle, planning
from actions.models import Action
from actions.states import ActionType, Status
from tenants.journal import Actor
from tenants.states import Idempotent

COMPENSABLE = (Status.COMPLETED, Status.UNKNOWN)


class NotCompensable(Exception):
    """There is nothing to undo, nobody to ask, or it was asked already (then `asked` is that action)."""

    def __init__(self, message: str, *, asked: Action | None = None) -> None:
        self.asked = asked
        super().__init__(message)


def why_not(action: Action) -> str:
    """One sentence for the person who asked; empty when it can be compensated."""
    if action.action_type != ActionType.RETRY:
        return "Only a retry is compensated; other actions are reversed."
    if action.status not in COMPENSABLE:
        return f"Only a retry that was sent is compensated; this one is {action.status}."
    if action.workflow is None or not action.workflow.compensate_url:
        return "The workflow has no compensate_url."
    return ""


def ask(action: Action, *, reason: str, by: Actor, now: datetime) -> Action:
    """Plan one signed call to the workflow's compensate_url; returns that action. Raises NotCompensable.

    Where repeating is not declared harmless, somebody else must approve it.
    """
    action = lifecycle.locked(action)
    if why := why_not(action):
        raise NotCompensable(why)
    if (asked := asked_for(action)) is not None:
        raise NotCompensable("The compensation of this retry was asked for already.", asked=asked)
    workflow = action.workflow
    assert workflow is not None
    waits = workflow.idempotent == Idempotent.NO
    compensating = planning.create_once(
        Action(
            tenant_id=action.tenant_id,
            action_type=ActionType.ROLLBACK,
            status=Status.AWAITING_APPROVAL if waits else Status.PENDING,
            dedupe_key=_purpose(action),
            incident_id=action.incident_id,
            run_id=action.run_id,
            workflow_id=action.workflow_id,
            vendor_id=action.vendor_id,
            parameters={"compensates": str(action.pk), "reason": reason},
            waiting_reason="The workflow does not declare that repeating is harmless."
            if waits
            else "",
            requested_by_id=by.id,
            run_at=now,
        ),
        by=by,
        now=now,
    )
    if waits:
        approvals.ask([compensating], by=by, now=now)
    return compensating


def asked_for(action: Action) -> Action | None:
    """The compensation of a retry, if there is one."""
    mine = Action.objects.for_tenant(action.tenant_id)
    return mine.filter(dedupe_key=_purpose(action)).first()


def _purpose(action: Action) -> str:
    return f"rollback:{action.pk}"
