"""The only place that gathers and words what the pages of campaigns show."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.urls import reverse

from actions import campaign_progress, campaigns
from actions.campaign_progress import Progress
from actions.models import Campaign, CampaignRun
from actions.states import CampaignRunState, CampaignStatus
from incidents.models import Incident
from incidents.presentation import timeline
from incidents.presentation.figures import Share, Turned
from incidents.presentation.shapes import Day, NextStep, Pill, Verb
from incidents.states import OPEN
from tenants.models import JournalEntry

PAGE_SIZE = 50
OF_INCIDENT_SHOWN = 3
TROUBLE_SHOWN = 20
LINES_SHOWN = 50
PILLS = {
    CampaignStatus.PLANNED: Pill("acknowledged", "list", "Planned"),
    CampaignStatus.RUNNING: Pill("recovering", "rotate-cw", "Running"),
    CampaignStatus.PAUSED: Pill("human", "hourglass", "Paused"),
    CampaignStatus.COMPLETED: Pill("resolved", "check", "Completed"),
    CampaignStatus.ABORTED: Pill("snoozed", "minus", "Aborted"),
}
REASONS = {
    "recovered": "recovered already",
    "waived": "given up by a person",
    "running": "has not failed",
    "incident_ignored": "its incident is ignored",
    "no_incident": "no incident tells its failure",
    "rule_forbids": "a rule forbids to retry it",
    "no_retry_url": "its workflow has no retry URL",
    "in_campaign": "in another campaign that runs",
    "outcome_unknown": "what became of an earlier call is unknown",
    "retry_under_way": "a retry of it is planned or under way",
    "aborted": "the campaign was aborted",
    "skipped": "its call was skipped",
    "not_verified": "accepted, and no success came",
}
# What became of called runs, in reading order: the part's colour, its word, its counts.
FATES = (
    ("alone", "recovered", ("recovered",)),
    ("failed", "failed", ("failed",)),
    ("retried", "outcome unknown", ("unknown",)),
    ("scheduled", "called, not settled yet", ("called",)),
    ("waived", "left", ("left",)),
)
LABELS = {
    "start": ("Start", "", ""),
    "pause": ("Pause", "reason", "No further call starts; what is under way is waited for."),
    "resume": ("Resume", "", ""),
    "abort": ("Abort", "reason", "The runs whose turn has not come are left as they are."),
}


@dataclass(frozen=True)
class StageLine:
    """One stage as a meter and a few words."""

    title: str
    says: str
    shares: tuple[Share, ...]
    is_current: bool


@dataclass(frozen=True)
class Trouble:
    """A run whose call failed, or whose outcome is unknown."""

    run_id: str
    run_url: str
    pill: Pill
    says: str
    action_url: str


@dataclass(frozen=True)
class CampaignLine:
    id: UUID
    url: str
    title: str
    pill: Pill
    says: str
    created_at: datetime
    requested_by: str


@dataclass(frozen=True)
class CampaignPage(Turned):
    lines: tuple[CampaignLine, ...]


@dataclass(frozen=True)
class Redrive:
    """An incident's campaigns, and where one for the runs it has left is planned."""

    lines: tuple[CampaignLine, ...]
    n_runs: int
    plan_url: str


@dataclass(frozen=True)
class CampaignDetail:
    line: CampaignLine
    campaign: Campaign
    total: Progress
    step: NextStep
    stages: tuple[StageLine, ...]
    verbs: tuple[Verb, ...]
    needs_another: str
    n_ineligible: int
    ineligible: tuple[tuple[int, str], ...]
    troubles: tuple[Trouble, ...]
    n_more_troubles: int
    days: tuple[Day, ...]
    incident: Incident | None
    terms: str


def page(tenant_id: UUID, number: int) -> CampaignPage:
    """The latest first."""
    mine = Campaign.objects.for_tenant(tenant_id).select_related("incident")
    start = (number - 1) * PAGE_SIZE
    found = list(mine.order_by("-id")[start : start + PAGE_SIZE + 1])
    totals = campaign_progress.totals(tenant_id, [one.pk for one in found[:PAGE_SIZE]])
    shown = tuple(line(one, totals[one.pk]) for one in found[:PAGE_SIZE])
    return CampaignPage(lines=shown, number=number, has_next=len(found) > PAGE_SIZE)


def redrive(incident: Incident, *, allowed: Collection[str]) -> Redrive | None:
    """What its page says of campaigns: those it has, and the plan that is proposed; None: nothing."""
    mine = Campaign.objects.for_tenant(incident.tenant_id).filter(incident=incident)
    found = list(mine.select_related("incident").order_by("-id")[:OF_INCIDENT_SHOWN])
    totals = campaign_progress.totals(incident.tenant_id, [one.pk for one in found])
    may_plan = "act" in allowed and incident.status in OPEN and incident.unrecovered_runs > 0
    if not found and not may_plan:
        return None
    return Redrive(
        lines=tuple(line(one, totals[one.pk]) for one in found),
        n_runs=incident.unrecovered_runs,
        plan_url=f"{reverse('campaigns:plan')}?incident={incident.pk}" if may_plan else "",
    )


def line(campaign: Campaign, total: Progress) -> CampaignLine:
    return CampaignLine(
        id=campaign.pk,
        url=reverse("campaigns:detail", args=[campaign.pk]),
        title=title(campaign),
        pill=PILLS[CampaignStatus(campaign.status)],
        says=_says(campaign, total),
        created_at=campaign.created_at,
        requested_by=campaign.requested_by,
    )


def title(campaign: Campaign) -> str:
    n_runs = f"{campaign.n_runs:,} {'run' if campaign.n_runs == 1 else 'runs'}"
    if campaign.incident is not None:
        return f"{n_runs} of {campaign.incident}"
    asked = ", ".join(f"{name} {value}" for name, value in campaign.query.items())
    return f"{n_runs} with {asked}"


def detail(campaign: Campaign, *, now: datetime, allowed: Collection[str]) -> CampaignDetail:
    stages = campaign_progress.stages(campaign)
    total = campaign_progress.whole(stages)
    troubles, n_more = _troubles(campaign)
    ineligible = sorted(campaign.plan["ineligible"].items(), key=lambda one: (-one[1], one[0]))
    is_planned = campaign.status == CampaignStatus.PLANNED
    needs_another = campaigns.needs_another(campaign) if is_planned else ""
    return CampaignDetail(
        line=line(campaign, total),
        campaign=campaign,
        total=total,
        step=_step(campaign, stages, needs_another),
        stages=tuple(_stage(campaign, stage) for stage in stages),
        verbs=_verbs(campaign) if "act" in allowed else (),
        needs_another=needs_another,
        n_ineligible=sum(campaign.plan["ineligible"].values()),
        ineligible=tuple((n, REASONS.get(reason, reason)) for reason, n in ineligible),
        troubles=troubles,
        n_more_troubles=n_more,
        days=_days(campaign, now=now),
        incident=campaign.incident,
        terms=_terms(campaign),
    )


def _verbs(campaign: Campaign) -> tuple[Verb, ...]:
    found = []
    for name in campaigns.allowed(campaign.status):
        if name == "start" and campaign.n_runs == 0:
            continue
        label, asks, hint = LABELS[name]
        found.append(
            Verb(name, label, reverse(f"campaigns:{name}", args=[campaign.pk]), asks, hint)
        )
    return tuple(found)


def _says(campaign: Campaign, total: Progress) -> str:
    if campaign.status == CampaignStatus.PLANNED:
        return "waits to be started"
    if campaign.status == CampaignStatus.PAUSED:
        return campaign.pause_reason
    return f"{total.recovered:,} of {total.n_runs:,} recovered"


def _step(campaign: Campaign, stages: tuple[Progress, ...], needs_another: str) -> NextStep:
    n_stages = len(stages)
    pill = PILLS[CampaignStatus(campaign.status)]
    if campaign.status == CampaignStatus.PLANNED:
        why = f"Somebody other than {campaign.requested_by} must start it: {needs_another}"
        return NextStep(
            "human" if needs_another else pill.kind,
            pill.icon,
            "Nothing is called before it is started" if campaign.n_runs else "Nothing to call",
            detail=why if needs_another else "",
        )
    if campaign.status == CampaignStatus.PAUSED:
        text = f"Paused in stage {campaign.stage} of {n_stages}"
        return NextStep(pill.kind, pill.icon, text, detail=campaign.pause_reason)
    if campaign.status == CampaignStatus.RUNNING:
        return NextStep(pill.kind, pill.icon, *_runs_on(campaign, stages))
    return NextStep(pill.kind, pill.icon, f"It is {campaign.status}")


def _runs_on(campaign: Campaign, stages: tuple[Progress, ...]) -> tuple[str, str]:
    if campaign.stage == 0:
        return "The first stage begins", ""
    stage = stages[campaign.stage - 1]
    text = f"Stage {campaign.stage} of {len(stages)}"
    if stage.eligible:
        return f"{text}: {stage.eligible:,} to call", ""
    return f"{text}: waits for {stage.called:,} to succeed", ""


def _stage(campaign: Campaign, stage: Progress) -> StageLine:
    return StageLine(
        title=f"Stage {stage.number}",
        says=f"{stage.n_called:,} of {stage.n_runs - stage.left:,}",
        shares=_shares(stage),
        is_current=stage.number == campaign.stage and campaign.ended_at is None,
    )


def _shares(progress: Progress) -> tuple[Share, ...]:
    total, x, found = max(1, progress.n_runs), 0.0, []
    for kind, word, names in FATES:
        n = sum(getattr(progress, name) for name in names)
        if n:
            width = round(100 * n / total, 2)
            found.append(Share(kind, word, n, "", round(x, 2), width))
            x += width
    return tuple(found)


def _troubles(campaign: Campaign) -> tuple[tuple[Trouble, ...], int]:
    failed = (CampaignRunState.FAILED, CampaignRunState.UNKNOWN)
    mine = CampaignRun.objects.for_tenant(campaign.tenant_id).filter(
        campaign=campaign, state__in=failed
    )
    shown = list(mine.select_related("run", "action").order_by("place")[:TROUBLE_SHOWN])
    n_more = mine.count() - len(shown) if len(shown) == TROUBLE_SHOWN else 0
    return tuple(map(_trouble, shown)), n_more


def _trouble(found: CampaignRun) -> Trouble:
    is_failed = found.state == CampaignRunState.FAILED
    word = Pill("open", "x", "Failed") if is_failed else Pill("open", "circle-alert", "Unknown")
    reason = REASONS.get(found.reason, "")
    return Trouble(
        run_id=found.run.run_id,
        run_url=reverse("runs:detail", args=[found.run_id]),
        pill=word,
        says=reason or (found.action.waiting_reason if found.action else ""),
        action_url=reverse("actions:detail", args=[found.action_id]) if found.action_id else "",
    )


def _days(campaign: Campaign, *, now: datetime) -> tuple[Day, ...]:
    mine = JournalEntry.objects.for_tenant(campaign.tenant_id)
    about = mine.filter(subject_type="campaign", subject_id=str(campaign.pk))
    shown = about.order_by("-at", "-id")[:LINES_SHOWN]
    return timeline.by_day([timeline.moment(entry) for entry in shown], now=now)


def _terms(campaign: Campaign) -> str:
    return ", ".join(str(stage) for stage in campaign.parameters["stages"])
