"""The only writer of a campaign's status: start, pause, resume and abort, each safe to repeat."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from actions import approvals, lifecycle
from actions.models import Action, Approval, ApprovalVote, Campaign, CampaignRun
from actions.states import (
    CAMPAIGN_MOVES,
    ApprovalStatus,
    CampaignRunState,
    CampaignStatus,
    Status,
)
from awfdrs_site.lib import correlation
from tenants import journal
from tenants.journal import Actor
from tenants.models import Workflow
from tenants.states import Idempotent

ABORTED = "Its campaign was aborted."
NAMED = 5  # workflows or incidents, in one sentence
_HELD = (Status.PENDING, Status.PARKED, Status.AWAITING_APPROVAL)


class CampaignRefused(Exception):
    """The verb does not fit where the campaign is (-> 409 with the verbs that do)."""

    def __init__(self, *, current: str, verb: str) -> None:
        self.current = current
        self.allowed = allowed(current)
        super().__init__(f"A campaign that is {current} cannot {verb}.")


class MayNotGo(Exception):
    """It may not start or go on like this (-> 409), and why."""


def allowed(status: str) -> tuple[str, ...]:
    """What people may do to a campaign in this state."""
    return tuple(
        verb
        for verb, (starts, _) in CAMPAIGN_MOVES.items()
        if status in starts and verb != "complete"
    )


def locked(campaign: Campaign) -> Campaign:
    """The row as it is now; a campaign is locked before its actions, those before their runs."""
    mine = Campaign.objects.for_tenant(campaign.tenant_id).select_for_update()
    found: Campaign = mine.get(pk=campaign.pk)
    return found


def start(campaign: Campaign, *, by: Actor, now: datetime) -> Campaign:
    """Let the first stage be called. Raises CampaignRefused, MayNotGo.

    Where a second call may do harm, whoever starts it must not be who planned it, and each counts as one vote for
    exactly this plan: it stays planned until as many as the tenant asks for have started it.
    """
    campaign = locked(campaign)
    if _refuse_or_is_there(campaign, "start"):
        return campaign
    _refuse_edited(campaign)
    if campaign.n_runs == 0:
        raise MayNotGo("None of its runs can be called.")
    if why := needs_another(campaign):
        if approvals.is_requester(campaign, by):
            raise MayNotGo(f"Somebody other than {campaign.requested_by} must start it: {why}")
        if not _vote(campaign, why, by=by, now=now):
            return campaign
    campaign.started_at, campaign.started_by = now, by.label
    return _move(campaign, "start", by=by, now=now, plan_hash=campaign.plan_hash)


def pause(campaign: Campaign, *, by: Actor, now: datetime, reason: str = "") -> Campaign:
    """Start no further call; what is under way is waited for. Raises CampaignRefused."""
    campaign = locked(campaign)
    if _refuse_or_is_there(campaign, "pause"):
        return campaign
    campaign.pause_reason = (reason or f"Paused by {by.label}.")[:300]
    for action in _actions(campaign, Status.PENDING):
        action.waiting_reason = "Its campaign is paused."
        lifecycle.move(action, Status.PARKED, "parked", by=by, now=now, reason=reason)
    return _move(campaign, "pause", by=by, now=now, reason=campaign.pause_reason)


def resume(campaign: Campaign, *, by: Actor, now: datetime, reason: str = "") -> Campaign:
    """Go on with the runs that were not called yet; the stage is judged anew. Raises as `start`."""
    campaign = locked(campaign)
    if _refuse_or_is_there(campaign, "resume"):
        return campaign
    _refuse_edited(campaign)
    for action in _actions(campaign, Status.PARKED):
        action.run_at, action.waiting_reason = now, ""
        lifecycle.move(action, Status.PENDING, "released", by=by, now=now)
    campaign.pause_reason = ""
    return _move(campaign, "resume", by=by, now=now, reason=reason)


def abort(campaign: Campaign, *, by: Actor, now: datetime, reason: str = "") -> Campaign:
    """End it: the runs whose turn has not come are left. Raises CampaignRefused."""
    campaign = locked(campaign)
    if _refuse_or_is_there(campaign, "abort"):
        return campaign
    for action in _actions(campaign, *_HELD):
        action.waiting_reason = ABORTED
        lifecycle.move(action, Status.SKIPPED, "skipped", by=by, now=now, reason=ABORTED)
    lines = CampaignRun.objects.for_tenant(campaign.tenant_id).filter(campaign=campaign)
    n_left = lines.filter(state=CampaignRunState.ELIGIBLE).update(
        state=CampaignRunState.LEFT, reason="aborted"
    )
    return _move(campaign, "abort", by=by, now=now, reason=reason, left=n_left)


def complete(campaign: Campaign, *, by: Actor, now: datetime) -> Campaign:
    """Every stage is over; `campaign` is locked already."""
    return _move(campaign, "complete", by=by, now=now)


def calls_of(campaign: Campaign) -> dict[str, list[str]]:
    """What its runs would call now: workflow id → slug, address, whether a second call is harmless."""
    lines = CampaignRun.objects.for_tenant(campaign.tenant_id).filter(campaign=campaign)
    called = lines.exclude(state=CampaignRunState.INELIGIBLE).values("run__workflow_id")
    mine = Workflow.objects.for_tenant(campaign.tenant_id).filter(pk__in=called)
    shown = mine.values_list("pk", "slug", "retry_url", "idempotent")
    return {str(pk): [slug, url, str(idempotent)] for pk, slug, url, idempotent in shown}


def edited(campaign: Campaign) -> str:
    """What was planned, and perhaps allowed, reads otherwise now; empty: it does not."""
    planned = campaign.plan["calls"]
    mine = Workflow.objects.for_tenant(campaign.tenant_id).filter(pk__in=planned)
    for workflow in mine.order_by("slug"):
        _, url, idempotent = planned[str(workflow.pk)]
        if workflow.retry_url != url:
            return f"The retry URL of {workflow.slug} was edited after this was planned."
        if workflow.idempotent != idempotent:
            return f"What {workflow.slug} declares was edited after this was planned."
    return ""


def _refuse_edited(campaign: Campaign) -> None:
    if why := edited(campaign):
        raise MayNotGo(f"{why} Abort it and plan what is left anew.")


def needs_another(campaign: Campaign) -> str:
    """Why the one who planned it may not start it alone; empty: they may."""
    calls = campaign.plan["calls"].values()
    risky = sorted(slug for slug, _, idempotent in calls if idempotent == Idempotent.NO)
    if names := ", ".join(risky[:NAMED]):
        return f"{names} does not declare that a second call is harmless."
    if names := ", ".join(campaign.plan.get("asked_by_rules", ())[:NAMED]):
        return f"A rule asks for approval of every retry of {names}."
    return ""


def _vote(campaign: Campaign, why: str, *, by: Actor, now: datetime) -> bool:
    """Record one person's word on the plan; whether it was the last one needed."""
    approval = campaign.approval
    if approval is None or approval.status not in (ApprovalStatus.WAITING, ApprovalStatus.APPROVED):
        approval = campaign.approval = _asked(campaign, why, now=now)
        campaign.save(update_fields=["approval"])
    approvals.say(approval, is_for=True, plan_hash=campaign.plan_hash, by=by, now=now)
    votes = ApprovalVote.objects.for_tenant(campaign.tenant_id).filter(approval=approval)
    n_votes = votes.filter(is_for=True).count()
    is_enough: bool = n_votes >= approval.quorum
    if is_enough:
        approval.status, approval.decided_at = ApprovalStatus.APPROVED, now
    approval.version += 1
    approval.save(update_fields=["status", "decided_at", "version"])
    verb = "campaign_approved" if is_enough else "campaign_voted"
    needed = approval.quorum
    _record(campaign, verb, by=by, now=now, votes=n_votes, needed=needed, why=why)
    return is_enough


def _asked(campaign: Campaign, why: str, *, now: datetime) -> Approval:
    asked = approvals.request_of(
        campaign,
        terms={"campaign": str(campaign.pk), "runs": campaign.n_runs, "why": why},
        terms_hash=campaign.plan_hash,
        plan_hash=campaign.plan_hash,
        now=now,
    )
    asked.save(force_insert=True)
    return asked


def _refuse_or_is_there(campaign: Campaign, verb: str) -> bool:
    """Whether it is there already, which is quiet. Raises CampaignRefused."""
    starts, end = CAMPAIGN_MOVES[verb]
    if campaign.status in starts:
        return False
    if campaign.status != end:
        raise CampaignRefused(current=campaign.status, verb=verb)
    return True


def _actions(campaign: Campaign, *status: str) -> Iterable[Action]:
    mine = Action.objects.for_tenant(campaign.tenant_id).filter(campaign=campaign)
    return mine.filter(status__in=status).select_for_update().order_by("id")


def _move(campaign: Campaign, verb: str, *, by: Actor, now: datetime, **detail: Any) -> Campaign:
    before, campaign.status = campaign.status, CAMPAIGN_MOVES[verb][1]
    if verb in ("start", "resume"):
        campaign.stage_started_at = now
    if campaign.status in (CampaignStatus.COMPLETED, CampaignStatus.ABORTED):
        campaign.ended_at = now
    save(campaign)
    detail |= {"before": before, "after": str(campaign.status), "stage": campaign.stage or None}
    _record(campaign, verb, by=by, now=now, **detail)
    return campaign


def save(campaign: Campaign) -> None:
    """Store a locked row."""
    campaign.version += 1
    campaign.save(
        update_fields=[
            "status",
            "stage",
            "pause_reason",
            "started_at",
            "started_by",
            "stage_started_at",
            "ended_at",
            "version",
        ]
    )


# A campaign's lines stand beside those of actions, which have other meanings of "started".
_PAST = {
    "start": "campaign_started",
    "pause": "campaign_paused",
    "resume": "campaign_resumed",
    "abort": "campaign_aborted",
    "complete": "campaign_completed",
}


def _record(campaign: Campaign, verb: str, *, by: Actor, now: datetime, **detail: Any) -> None:
    detail["incident"] = str(campaign.incident_id) if campaign.incident_id else None
    said = {name: value for name, value in detail.items() if value not in ("", None)}
    with correlation.correlated(campaign.correlation_id):
        journal.record(campaign, _PAST.get(verb, verb), by=by, at=now, **said)
