"""The only place that says which actions a vote is about: as many as its hash covers."""

from dataclasses import dataclass
from uuid import UUID

from actions import approvals, terms
from actions.models import Action, Approval
from actions.vote_refusals import PlanChanged


@dataclass(frozen=True)
class Plan:
    """What a vote is about: the terms, and the actions up to `until_id`."""

    plan_hash: str
    until_id: UUID | None


def plan_of(approval: Approval, *, seen: str = "") -> Plan:
    """The plan that `seen` names, or the one as it stands; closed by a vote it is the same for ever.

    Raises PlanChanged.
    """
    mine = approvals.members(approval)
    if approval.plan_hash:
        plans = [Plan(approval.plan_hash, approval.until_id)]
    else:
        ids = mine.order_by("id").values_list("pk", flat=True)
        hashes = terms.plan_hashes(approval.terms_hash, ids)
        plans = [Plan(plan_hash, until) for until, plan_hash in hashes]
    plans = plans or [Plan(approval.terms_hash, None)]
    found = [plan for plan in plans if plan.plan_hash == seen] if seen else plans[-1:]
    if not found:
        raise PlanChanged(mine.count(), approvals.edited(approval))
    return found[0]


def plan_of_action(action: Action) -> Plan:
    """The plan of this action alone, under its terms as they are now."""
    shown = terms.terms_of(action)
    terms_hash = terms.terms_hash(shown, requested_by_id=action.requested_by_id)
    [(until_id, plan_hash)] = terms.plan_hashes(terms_hash, [action.pk])
    return Plan(plan_hash, until_id)
