"""The only place that asks people for permission, and that knows whether what they allowed still holds."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from actions import lifecycle, terms
from actions.models import Action, Approval, ApprovalVote, Campaign
from actions.states import ApprovalStatus, Status
from tenants import journal, keys
from tenants.journal import SYSTEM, Actor
from tenants.models import Tenant

EDITED = "What was approved has been edited since."


@dataclass(frozen=True)
class Standing:
    """What people allowed: `changed` is {field: [approved, now]} of terms that were edited afterwards."""

    is_approved: bool
    changed: dict[str, list[Any]] = field(default_factory=dict)


def standing(action: Action) -> Standing:
    """Whether people allowed the action as it would run now; reads only."""
    if action.approval is None:
        # a person's own hand (`run`), or nobody was ever asked
        return Standing(bool(action.parameters.get("approved_by")))
    if not _covers(action.approval, action):
        return Standing(is_approved=False)
    changed = terms.changes(action.approval.terms, terms.terms_of(action))
    return Standing(is_approved=not changed, changed=changed)


def ask(actions: Sequence[Action], *, by: Actor, now: datetime) -> None:
    """Ask people about actions that await approval, in the caller's transaction.

    Each joins the waiting approval of its incident and terms that nobody has voted on yet, or makes it. An approval
    whose terms were edited meanwhile becomes void, and what it let run asks again. Asking twice asks once.
    The caller holds the actions' rows.
    """
    fresh = _read(actions)
    if voided := _void_edited(fresh, now=now):
        fresh = _read([*fresh, *voided])
    groups: dict[tuple[UUID | None, str], list[Action]] = defaultdict(list)
    for action in fresh:
        if _is_unasked(action):
            groups[action.incident_id, _hash_of(action)].append(action)
    for (_, terms_hash), alike in groups.items():
        _join(_open(alike[0], terms_hash, by=by, now=now), alike)
    approvals = {action.pk: action.approval for action in fresh}
    for action in actions:
        action.approval = approvals[action.pk]


def members(approval: Approval) -> Any:
    """Every action it was ever about, whatever became of it."""
    return Action.objects.for_tenant(approval.tenant_id).filter(approval=approval)


def waiting_members(approval: Approval) -> Any:
    """The actions that still wait under it, in the order of their ids: the order they are locked in."""
    return members(approval).filter(status=Status.AWAITING_APPROVAL).order_by("id")


def locked(approval: Approval) -> Approval:
    """The row as it is now. Its actions' rows are locked before it, never after."""
    mine = Approval.objects.for_tenant(approval.tenant_id).select_for_update()
    found: Approval = mine.get(pk=approval.pk)
    return found


def edited(approval: Approval) -> dict[str, list[Any]]:
    """What of the terms reads otherwise now than when people were asked: any member tells, they share them."""
    mine = members(approval).select_related("workflow", "vendor", "incident")
    member = mine.order_by("id").first()
    return terms.changes(approval.terms, terms.terms_of(member)) if member else {}


def _read(actions: Iterable[Action]) -> list[Action]:
    actions = list(actions)
    if not actions:
        return []
    mine = Action.objects.for_tenant(actions[0].tenant_id)
    related = ("workflow", "vendor", "incident", "approval")
    return list(
        mine.filter(pk__in=[action.pk for action in actions])
        .select_related(*related)
        .order_by("id")
    )


def _covers(approval: Approval, action: Action) -> bool:
    is_inside = approval.until_id is None or action.pk <= approval.until_id
    return approval.status == ApprovalStatus.APPROVED and is_inside


def _is_unasked(action: Action) -> bool:
    if action.status != Status.AWAITING_APPROVAL:
        return False
    return action.approval is None or action.approval.status != ApprovalStatus.WAITING


def _hash_of(action: Action) -> str:
    return terms.terms_hash(terms.terms_of(action), requested_by_id=action.requested_by_id)


def _open(action: Action, terms_hash: str, *, by: Actor, now: datetime) -> Approval:
    """The waiting approval of these terms, locked; two that ask at once make one."""
    mine = Approval.objects.for_tenant(action.tenant_id).select_for_update()
    asked: Any = mine.filter(
        incident=action.incident,
        terms_hash=terms_hash,
        status=ApprovalStatus.WAITING,
        plan_hash="",
    )
    # Whoever closes it with a first vote in between leaves none open: then the next round makes one.
    while (found := asked.order_by("id").first()) is None:
        fresh = draft(action, terms_hash, now=now)
        Approval.objects.bulk_create([fresh], ignore_conflicts=True)
        if Approval.objects.for_tenant(action.tenant_id).filter(pk=fresh.pk).exists():
            _say_asked(fresh, by=by, now=now)
    opened: Approval = found
    return opened


def draft(action: Action, terms_hash: str, *, now: datetime) -> Approval:
    """An approval of the action's terms, not stored yet."""
    return request_of(action, terms=dict(terms.terms_of(action)), terms_hash=terms_hash, now=now)


def request_of(asked: Action | Campaign, *, now: datetime, **plan: Any) -> Approval:
    """For what is asked by whoever asked it, as many and as long as the tenant says; not stored yet."""
    tenant = Tenant.objects.get(pk=asked.tenant_id)
    return Approval(
        tenant_id=asked.tenant_id,
        incident_id=asked.incident_id,
        quorum=max(1, tenant.approvals_needed),
        requested_by=asked.requested_by,
        requested_by_id=asked.requested_by_id,
        created_at=now,
        expires_at=now + timedelta(hours=tenant.approval_hours),
        **plan,
    )


def say(
    approval: Approval, *, is_for: bool, plan_hash: str, by: Actor, now: datetime, reason: str = ""
) -> bool:
    """Keep one person's word on the plan, given by hand or by a key; whether it is their first on it."""
    vote = ApprovalVote(
        tenant_id=approval.tenant_id,
        approval=approval,
        actor_id=keys.person_behind(approval.tenant_id, by.id),
        actor_label=by.label,
        is_for=is_for,
        plan_hash=plan_hash,
        reason=reason[:4000],
        at=now,
    )
    ApprovalVote.objects.bulk_create([vote], ignore_conflicts=True)
    return bool(ApprovalVote.objects.for_tenant(approval.tenant_id).filter(pk=vote.pk).exists())


def is_requester(asked: Action | Approval | Campaign, by: Actor) -> bool:
    """Whether the same person asked for it, by hand or by a key; the machine's requests are nobody's."""
    if not asked.requested_by_id:
        return False
    asker = keys.person_behind(asked.tenant_id, asked.requested_by_id)
    return asker == keys.person_behind(asked.tenant_id, by.id)


def _say_asked(approval: Approval, *, by: Actor, now: datetime) -> None:
    journal.record(
        approval,
        "asked",
        by=by,
        at=now,
        incident=str(approval.incident_id) if approval.incident_id else None,
        workflow=approval.terms["workflow"],
    )


def _join(approval: Approval, actions: Sequence[Action]) -> None:
    mine = Action.objects.for_tenant(approval.tenant_id)
    mine.filter(pk__in=[action.pk for action in actions]).update(approval=approval)
    for action in actions:
        action.approval = approval
    approval.version += 1
    approval.save(update_fields=["version"])
    journal.announce(approval)


def _void_edited(actions: Iterable[Action], *, now: datetime) -> list[Action]:
    """Approved once and edited since: nothing of it is allowed any more; returns what comes back besides."""
    edits = {
        action.approval.pk: (action.approval, changed)
        for action in actions
        if action.approval is not None and (changed := standing(action).changed)
    }
    returned: list[Action] = []
    for approval, changed in edits.values():
        returned += void(approval, changed, now=now)
    return returned


def void(approval: Approval, changed: dict[str, list[Any]], *, now: datetime) -> list[Action]:
    """What was allowed, or asked, reads otherwise now; returns the actions that must ask again."""
    approval = locked(approval)
    if approval.status not in (ApprovalStatus.APPROVED, ApprovalStatus.WAITING):
        return []
    approval.status, approval.void_reason, approval.decided_at = ApprovalStatus.VOID, changed, now
    approval.version += 1
    approval.save(update_fields=["status", "void_reason", "decided_at", "version"])
    journal.record(approval, "voided", by=SYSTEM, at=now, changed=changed)
    return [*waiting_members(approval), *_called_back(approval, now=now)]


def _called_back(approval: Approval, *, now: datetime) -> list[Action]:
    """What it let run and has not started. A row held by a worker is left: its start asks by itself."""
    idle = members(approval).filter(status=Status.PENDING, lease_token=None).order_by("id")
    back = list(idle.select_for_update(skip_locked=True))
    lifecycle.move_all(
        back,
        Status.AWAITING_APPROVAL,
        "awaits_approval",
        by=SYSTEM,
        now=now,
        fields={"waiting_reason": EDITED},
        reason=EDITED,
    )
    return back
