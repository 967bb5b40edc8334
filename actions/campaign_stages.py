"""Drives running campaigns: sees what became of their calls, pauses, and calls the next runs, all from rows."""

from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import Count, Q

from actions import campaign_calls, campaign_terms, campaigns
from actions.campaign_terms import Tally
from actions.models import Campaign, CampaignRun
from actions.states import CampaignRunState, CampaignStatus, Status
from awfdrs_site.lib import correlation, sweeping
from awfdrs_site.lib.failpoints import failpoint
from safety.models import CircuitBreaker
from safety.states import BreakerStatus, Forced
from tenants import journal, scoping
from tenants.journal import SYSTEM

SWEEP = 200
AT_ONCE = (
    20  # calls of one campaign that are not answered yet: what fails is seen before more follow
)
UNANSWERED = (Status.PENDING, Status.IN_PROGRESS, Status.PARKED, Status.AWAITING_APPROVAL)

_DUE = """
select tenant_id, id from actions_campaign where status = 'running'
union
select tenant_id, campaign_id from actions_campaignrun where state = 'called'
limit %s
"""
# A failed call counts as recovered once its run is; one that a person tries again is called again.
_SETTLE = """
with judged as (
  select line.id, line.state as before, case
      when action.verification = 'verified' then 'recovered'
      when action.status in ('failed', 'unknown') then action.status
      when action.verification = 'not_verified' then 'failed'
      when action.status = 'skipped' then 'left'
      when action.status = 'completed' and action.settled_at < %s - make_interval(secs => %s) then 'failed'
      else 'called' end as state,
    case
      when action.status = 'skipped' and run.state in ('failed', 'retry_scheduled') then 'skipped'
      when action.status = 'skipped' then 'recovered'
      when action.status = 'completed' and action.verification <> 'verified' then 'not_verified'
      else '' end as reason
  from actions_campaignrun line
  join actions_action action on action.tenant_id = line.tenant_id and action.id = line.action_id
  join incidents_run run on run.tenant_id = line.tenant_id and run.id = line.run_id
  where line.tenant_id = %s and line.campaign_id = %s and line.state in ('called', 'failed', 'unknown')
)
update actions_campaignrun line
set state = judged.state, reason = case judged.state when 'called' then '' else judged.reason end
from judged where line.id = judged.id and judged.state <> judged.before
"""


def advance_due(*, limit: int = SWEEP) -> int:
    """The sweep: take every campaign as far as its calls allow; returns how many moved."""
    due = scoping.found(_DUE, [limit])
    moved: list[UUID] = []
    sweeping.each(due, lambda tenant_id, pk: moved.extend(_advance(tenant_id, pk)))
    return len(moved)


def _advance(tenant_id: UUID, campaign_id: UUID) -> list[UUID]:
    """One transaction a step: whoever is killed in it leaves the campaign where it was."""
    with scoping.bound(tenant_id, durable=True) as now:
        mine = Campaign.objects.for_tenant(tenant_id).select_for_update(skip_locked=True)
        campaign = mine.filter(pk=campaign_id).first()
        if campaign is None:  # another worker is at it
            return []
        version = campaign.version
        with correlation.correlated(campaign.correlation_id):
            n_settled = _settle(campaign, now=now)
            if campaign.status == CampaignStatus.RUNNING:
                _step(campaign, now=now)
            failpoint("campaign.before_commit")
        if not n_settled and campaign.version == version:
            return []
        if campaign.version == version:
            campaigns.save(campaign)
        journal.announce(campaign)
    return [campaign_id]


def _settle(campaign: Campaign, *, now: datetime) -> int:
    wait = campaign_terms.of_json(campaign.parameters).verify_seconds
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE, [now, wait, campaign.tenant_id, campaign.pk])
        return int(cursor.rowcount)


def _step(campaign: Campaign, *, now: datetime) -> None:
    """Pause where a stage fails or the vendor does, else call more of it, else begin the next."""
    if why := _why_pause(campaign, tally := tally_of(campaign)):
        campaigns.pause(campaign, by=SYSTEM, now=now, reason=why)
        campaign.refresh_from_db()
    elif campaign.stage == 0 or tally.is_over:
        _next_stage(campaign, now=now)
    elif tally.n_eligible and tally.n_unanswered < AT_ONCE:
        campaign_calls.call_next(campaign, AT_ONCE - tally.n_unanswered, now=now)


def tally_of(campaign: Campaign) -> Tally:
    """The calls of its stage since that began or was resumed."""
    lines = CampaignRun.objects.for_tenant(campaign.tenant_id).filter(
        campaign=campaign, stage=campaign.stage
    )
    began = campaign.stage_started_at
    fresh = Q(action=None) | Q(action__started_at=None) | Q(action__started_at__gte=began)
    state, failed = CampaignRunState, (CampaignRunState.FAILED, CampaignRunState.UNKNOWN)
    ended = Q(state__in=(state.RECOVERED, *failed))
    accepted = Q(state=state.CALLED, action__status=Status.COMPLETED)
    counts = {
        "n_runs": fresh & ~Q(state=state.LEFT),
        "n_answered": fresh & (ended | accepted),
        "n_failed": fresh & Q(state__in=failed),
        "n_called": Q(state=state.CALLED),
        "n_eligible": Q(state=state.ELIGIBLE),
        "n_unanswered": Q(state=state.CALLED, action__status__in=UNANSWERED),
    }
    found = lines.aggregate(**{name: Count("pk", filter=what) for name, what in counts.items()})
    return Tally(**found)


def _why_pause(campaign: Campaign, tally: Tally) -> str:
    terms = campaign_terms.of_json(campaign.parameters)
    if campaign_terms.has_failed(terms, tally):
        share = f"{terms.failure_share:.0%}"
        return f"Stage {campaign.stage}: {tally.n_failed} of {tally.n_answered} calls failed, more than {share}."
    return campaigns.edited(campaign) or _why_breaker(campaign)


def _why_breaker(campaign: Campaign) -> str:
    breakers = CircuitBreaker.objects.for_tenant(campaign.tenant_id).select_related("vendor")
    opened = (
        breakers.filter(vendor_id__in=campaign.plan["vendors"])
        .exclude(forced__in=(Forced.FORCED_CLOSED, Forced.SHADOW))
        .filter(~Q(state=BreakerStatus.CLOSED) | Q(forced=Forced.FORCED_OPEN))
    )
    for breaker in opened.order_by("vendor__name")[:1]:
        word = "forced open" if breaker.forced else breaker.state.replace("_", " ")
        return f"The circuit breaker of {breaker.vendor.name} is {word}."
    return ""


def _next_stage(campaign: Campaign, *, now: datetime) -> None:
    if campaign.stage >= len(campaign.plan["stages"]):
        campaigns.complete(campaign, by=SYSTEM, now=now)
        return
    campaign.stage, campaign.stage_started_at = campaign.stage + 1, now
    campaigns.save(campaign)
    journal.record(
        campaign,
        "stage_begun",
        by=SYSTEM,
        at=now,
        stage=campaign.stage,
        runs=campaign.plan["stages"][campaign.stage - 1],
    )
