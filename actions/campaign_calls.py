"""Makes a campaign's next calls: one action per run for ever, and none where something else recovers it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from django.db.models import F, Q

from actions import campaigns
from actions.models import Action, Campaign, CampaignRun
from actions.states import UNSETTLED, ActionType, CampaignRunState, Status, Verification
from incidents import aliases, decisions
from incidents.models import Incident, Run
from incidents.states import RunState
from safety import rules
from safety.effective import Effective
from tenants import journal
from tenants.journal import SYSTEM


def call_next(campaign: Campaign, room: int, *, now: datetime) -> None:
    """Make the actions of the next runs, and leave those that need none any more."""
    mine = CampaignRun.objects.for_tenant(campaign.tenant_id)
    waiting = mine.filter(campaign=campaign, stage=campaign.stage, state=CampaignRunState.ELIGIBLE)
    lines = list(waiting.order_by("place")[:room])
    runs, told = _held(campaign, [line.run_id for line in lines])
    busy = _busy(campaign, runs)
    for line in lines:
        run = runs[line.run_id]
        line.reason = _why_left(run, told.get(run.pk), is_busy=run.pk in busy)
        line.state = CampaignRunState.LEFT if line.reason else CampaignRunState.CALLED
    called = [runs[line.run_id] for line in lines if line.state == CampaignRunState.CALLED]
    actions = _store(campaign, _actions(campaign, called, told, now=now), now=now)
    for line in lines:
        line.action = actions.get(line.run_id)
    mine.bulk_update(lines, ["state", "reason", "action"])
    campaigns.save(campaign)


def _held(campaign: Campaign, run_ids: list[UUID]) -> tuple[dict[UUID, Run], dict[UUID, Incident]]:
    """The runs, held until the end, and run id → the incident that tells its failure.

    Incidents are held before runs, as everywhere: the planner holds an incident and then wants its runs.
    """
    related = ("workflow", "incident")
    mine = Run.objects.for_tenant(campaign.tenant_id).filter(pk__in=run_ids).order_by("id")
    told = _told_by(mine.select_related(*related))
    incidents = Incident.objects.for_tenant(campaign.tenant_id)
    hurt = {incident.pk for incident in told.values()} | set(
        mine.exclude(incident=None).order_by().values_list("incident_id", flat=True)
    )
    held = incidents.filter(pk__in=hurt).select_for_update(no_key=True).order_by("id")
    list(held.values_list("pk"))
    runs = mine.select_related(*related).select_for_update(of=("self",))
    return {run.pk: run for run in runs}, told


def _told_by(runs: Iterable[Run]) -> dict[UUID, Incident]:
    """After a merge it is the incident of a failure's own signature that knows it."""
    groups: dict[UUID, list[Run]] = defaultdict(list)
    for run in runs:
        if run.incident_id is not None:
            groups[run.incident_id].append(run)
    told: dict[UUID, Incident] = {}
    for theirs in groups.values():
        incident = theirs[0].incident
        assert incident is not None
        merged = aliases.told_by(incident, theirs)
        told |= {run.pk: merged.get(run.pk, incident) for run in theirs}
    return told


def _busy(campaign: Campaign, run_ids: Iterable[UUID]) -> set[UUID]:
    """Those that something else is calling; the runs are held, so nobody plans a retry meanwhile."""
    mine = Action.objects.for_tenant(campaign.tenant_id).filter(
        run_id__in=list(run_ids), action_type=ActionType.RETRY
    )
    unverified = Q(status=Status.COMPLETED, verification=Verification.PENDING)
    under_way = mine.filter(Q(status__in=UNSETTLED) | unverified)
    return set(under_way.values_list("run_id", flat=True))


def _why_left(run: Run, told: Incident | None, *, is_busy: bool) -> str:
    if not run.is_unrecovered:
        return "waived" if run.state == RunState.WAIVED else "recovered"
    if told is None or told.workflow_id != run.workflow_id:
        return "no_incident"
    if not run.workflow.retry_url:
        return "no_retry_url"
    return "retry_under_way" if is_busy else ""


def _actions(
    campaign: Campaign, runs: Iterable[Run], told: Mapping[UUID, Incident], *, now: datetime
) -> list[Action]:
    known = rules.overrides(campaign.tenant_id)
    in_force: dict[UUID, Effective] = {}
    actions = []
    for run in runs:
        incident = told[run.pk]
        if incident.pk not in in_force:
            in_force[incident.pk] = decisions.rules_for(incident, known=known)
        actions.append(_action(campaign, run, incident, in_force[incident.pk], now=now))
    return actions


def _action(
    campaign: Campaign, run: Run, incident: Incident, in_force: Effective, *, now: datetime
) -> Action:
    return Action(
        tenant_id=campaign.tenant_id,
        action_type=ActionType.RETRY,
        dedupe_key=f"campaign:{campaign.pk}:{run.pk}",
        campaign=campaign,
        incident=incident,
        run=run,
        workflow_id=run.workflow_id,
        vendor_id=incident.vendor_id,
        policy=in_force.retry_as_json(),
        parameters={"approved_by": campaign.started_by},
        attempts_max=1,  # for ever: a campaign asks once per run
        run_at=now,
        requested_by=campaign.requested_by,
        requested_by_id=campaign.requested_by_id,
        correlation_id=campaign.correlation_id,
        created_at=now,
    )


def _store(
    campaign: Campaign, actions: list[Action], *, now: datetime
) -> dict[UUID | None, Action]:
    """Run id → its action."""
    Action.objects.bulk_create(actions)
    runs = Run.objects.for_tenant(campaign.tenant_id).filter(pk__in=[a.run_id for a in actions])
    # So that no retry is planned beside it.
    runs.update(planned_at=now, version=F("version") + 1)
    about = {"action_type": str(ActionType.RETRY), "campaign": str(campaign.pk)}
    lines = [
        journal.Line(
            action,
            "planned",
            {**about, "incident": str(action.incident_id), "run": str(action.run_id)},
        )
        for action in actions
    ]
    journal.record_many(lines, by=SYSTEM, at=now)
    return {action.run_id: action for action in actions}
