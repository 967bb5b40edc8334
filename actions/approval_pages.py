"""The only place that gathers and words what people are asked to allow."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Q
from django.urls import reverse

from actions import approval_plans, approvals, presentation
from actions.approval_shapes import (
    ApprovalDetail,
    ApprovalLine,
    ApprovalPage,
    AskedRun,
    Edit,
    Term,
    Viewer,
)
from actions.models import Action, Approval, ApprovalVote
from actions.states import ApprovalStatus, Status
from actions.terms import LABELS
from incidents.models import Incident
from incidents.presentation import timeline
from incidents.presentation.figures import UpTo
from incidents.presentation.shapes import Day, Pill, Tab
from tenants.journal import Actor
from tenants.models import JournalEntry

PAGE_SIZE = 50
RUNS_SHOWN = 20
LINES_SHOWN = 50
ASKED_SHOWN = 3  # on an incident's page
PILLS = {
    ApprovalStatus.WAITING: Pill("human", "shield-alert", "Waits for approval"),
    ApprovalStatus.APPROVED: Pill("recovering", "shield-check", "Approved"),
    ApprovalStatus.REJECTED: Pill("snoozed", "ban", "Rejected"),
    ApprovalStatus.EXPIRED: Pill("open", "hourglass", "Expired"),
    ApprovalStatus.VOID: Pill("snoozed", "undo-2", "Void"),
}
NOUNS = {"retry": ("retry", "retries"), "rollback": ("compensation", "compensations")}
TABS = {"waiting": "Waiting", "decided": "Decided"}


@dataclass(frozen=True)
class _Counts:
    n_actions: int = 0
    n_waiting: int = 0
    n_for: int = 0


def tabs(tenant_id: UUID, current: str) -> tuple[Tab, ...]:
    url, n_waiting = reverse("approvals:list"), waiting(tenant_id)
    return tuple(
        Tab(
            slug,
            label,
            f"{url}?tab={slug}",
            UpTo(n_waiting) if slug == "waiting" else None,
            slug == current,
        )
        for slug, label in TABS.items()
    )


def waiting(tenant_id: UUID) -> int:
    """How many plans wait for people."""
    return int(_of(tenant_id).filter(status=ApprovalStatus.WAITING).count())


def page(tenant_id: UUID, tab: str, number: int, *, viewer: Viewer) -> ApprovalPage:
    """What expires first where it waits, the latest first where it does not."""
    is_waiting, start = Q(status=ApprovalStatus.WAITING), (number - 1) * PAGE_SIZE
    mine = _of(tenant_id).select_related("incident")
    if tab == "waiting":
        found = mine.filter(is_waiting).order_by("expires_at", "id")
    else:
        found = mine.exclude(is_waiting).order_by("-id")
    shown = list(found[start : start + PAGE_SIZE + 1])
    return ApprovalPage(
        lines=_lines(tenant_id, shown[:PAGE_SIZE], viewer=viewer),
        number=number,
        has_next=len(shown) > PAGE_SIZE,
    )


def of_incident(incident: Incident, *, viewer: Viewer) -> tuple[ApprovalLine, ...]:
    """What waits for people on its page, with the plan each vote would be about."""
    shown = Incident.objects.for_tenant(incident.tenant_id).with_members(incident.pk)
    mine = _of(incident.tenant_id).filter(status=ApprovalStatus.WAITING)
    found = mine.filter(incident__in=shown.values("pk")).select_related("incident")
    asked = list(found.order_by("expires_at", "id")[:ASKED_SHOWN])
    return _lines(incident.tenant_id, asked, viewer=viewer, with_plan=True)


def asked(incident: Incident, by: Actor, verbs: Collection[str]) -> tuple[ApprovalLine, ...]:
    """As the layer below asks for it."""
    return of_incident(incident, viewer=Viewer(by, verbs))


def detail(approval: Approval, *, viewer: Viewer, now: datetime) -> ApprovalDetail:
    [line] = _lines(approval.tenant_id, [approval], viewer=viewer, with_plan=True)
    mine = approvals.members(approval)
    shown = list(mine.select_related("run").order_by("id")[:RUNS_SHOWN])
    n_actions = len(shown) if len(shown) < RUNS_SHOWN else mine.count()
    votes = ApprovalVote.objects.for_tenant(approval.tenant_id).filter(approval=approval)
    return ApprovalDetail(
        line=line,
        approval=approval,
        terms=tuple(
            Term(LABELS[k], _plain(approval.terms[k])) for k in LABELS if k in approval.terms
        ),
        edits=_edits(approval),
        votes=tuple(votes.order_by("at", "id")),
        runs=tuple(map(_run, shown)),
        n_actions=n_actions,
        n_more=n_actions - len(shown),
        days=_days(approval, now=now),
    )


def _of(tenant_id: UUID) -> Any:
    """Without those of campaigns, which are approved by starting them."""
    return Approval.objects.for_tenant(tenant_id).filter(campaigns=None)


def _lines(
    tenant_id: UUID, found: Iterable[Approval], *, viewer: Viewer, with_plan: bool = False
) -> tuple[ApprovalLine, ...]:
    found = list(found)
    counts = _counts(tenant_id, [approval.pk for approval in found])
    return tuple(
        _line(approval, counts[approval.pk], viewer=viewer, with_plan=with_plan)
        for approval in found
    )


def _counts(tenant_id: UUID, ids: list[UUID]) -> dict[UUID, _Counts]:
    """Of all of them at once: two queries."""
    actions = Action.objects.for_tenant(tenant_id).filter(approval__in=ids).order_by()
    is_waiting = Q(status=Status.AWAITING_APPROVAL)
    of_actions = {
        row["approval"]: row
        for row in actions.values("approval").annotate(
            n=Count("pk"), n_waiting=Count("pk", filter=is_waiting)
        )
    }
    votes = ApprovalVote.objects.for_tenant(tenant_id).filter(approval__in=ids, is_for=True)
    n_for = dict(votes.order_by().values_list("approval").annotate(n=Count("pk")))
    none = {"n": 0, "n_waiting": 0}
    return {
        pk: _Counts(
            n_actions=of_actions.get(pk, none)["n"],
            n_waiting=of_actions.get(pk, none)["n_waiting"],
            n_for=n_for.get(pk, 0),
        )
        for pk in ids
    }


def _line(approval: Approval, counts: _Counts, *, viewer: Viewer, with_plan: bool) -> ApprovalLine:
    incident: Any = approval.incident
    is_waiting = approval.status == ApprovalStatus.WAITING
    why_not = _why_not(approval, viewer) if is_waiting else ""
    n_shown = counts.n_waiting if is_waiting else counts.n_actions
    return ApprovalLine(
        id=approval.pk,
        url=reverse("approvals:detail", args=[approval.pk]),
        title=_title(approval, n_shown),
        call=str(approval.terms.get("call", "")),
        incident=str(incident) if incident else "",
        incident_title=incident.title if incident else "",
        incident_url=incident.get_absolute_url() if incident else "",
        pill=PILLS[ApprovalStatus(approval.status)],
        is_waiting=is_waiting,
        says=_says(approval, counts),
        blast=_blast(approval, counts.n_waiting),
        requested_by=approval.requested_by,
        created_at=approval.created_at,
        expires_at=approval.expires_at,
        plan_hash=approval_plans.plan_of(approval).plan_hash if with_plan else "",
        may_vote=is_waiting and "approve" in viewer.verbs and not why_not,
        why_not=why_not,
    )


def _title(approval: Approval, n_actions: int) -> str:
    kind = str(approval.terms.get("action_type", "action"))
    one, many = NOUNS.get(kind, ("action", "actions"))
    return (
        f"{n_actions:,} {one if n_actions == 1 else many} of {approval.terms.get('workflow', '')}"
    )


def _says(approval: Approval, counts: _Counts) -> str:
    if approval.status == ApprovalStatus.WAITING:
        return f"{counts.n_for} of {approval.quorum} have approved"
    if approval.status == ApprovalStatus.VOID and "waiting" in approval.void_reason:
        return "nothing waits under it any more"
    if approval.status == ApprovalStatus.VOID:
        edited = ", ".join(LABELS.get(k, k).lower() for k in approval.void_reason)
        return f"edited: {edited}"
    return f"asked by {approval.requested_by}"


def _blast(approval: Approval, n_waiting: int) -> str:
    most = approval.terms.get("attempts", 1)
    calls = "1 call" if n_waiting == 1 else f"{n_waiting:,} calls"
    again = f", each tried up to {most} times" if isinstance(most, int) and most > 1 else ""
    return f"{calls} to {approval.terms.get('call') or 'the workflow'}{again}, within every limit."


def _why_not(approval: Approval, viewer: Viewer) -> str:
    if approvals.is_requester(approval, viewer.actor):
        return "You asked for this, so somebody else has to approve it."
    votes = ApprovalVote.objects.for_tenant(approval.tenant_id).filter(approval=approval)
    if approval.plan_hash and votes.filter(actor_id=viewer.actor.id).exists():
        return f"You have approved. {approval.quorum} people have to."
    return ""


def _edits(approval: Approval) -> tuple[Edit, ...]:
    """What was edited: afterwards, or since people were asked."""
    changed = approval.void_reason
    if approval.status == ApprovalStatus.WAITING:
        changed = approvals.edited(approval)
    return tuple(
        Edit(LABELS[field], _plain(was), _plain(now))
        for field, (was, now) in changed.items()
        if field in LABELS
    )


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(f"{part:g}" for part in value) or "–"
    return str(value) or "–"


def _run(action: Action) -> AskedRun:
    return AskedRun(
        run_id=action.run.run_id if action.run else "",
        run_url=reverse("runs:detail", args=[action.run_id]) if action.run_id else "",
        action_url=reverse("actions:detail", args=[action.pk]),
        pill=presentation.PILLS[Status(action.status)],
        says=action.waiting_reason,
    )


def _days(approval: Approval, *, now: datetime) -> tuple[Day, ...]:
    mine = JournalEntry.objects.for_tenant(approval.tenant_id)
    about = mine.filter(subject_type="approval", subject_id=str(approval.pk))
    shown = about.order_by("-at", "-id")[:LINES_SHOWN]
    return timeline.by_day([timeline.moment(entry) for entry in shown], now=now)
