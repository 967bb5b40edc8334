"""What stories of campaigns share: many runs that fail at once, the verbs, and what became of every run."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from actions import campaign_plans
from actions.campaign_terms import Terms
from actions.models import Campaign, CampaignRun
from awfdrs_site.lib import clock, rfc3339
from incidents.models import Incident
from tenants import scoping
from tenants.journal import Actor
from tenants.models import Tenant
from tests.cast import Travel, digest_all, event, submit_all
from tests.journeys.conftest import Stage

ALICE = Actor("user", "1", "alice")
ANN = Actor("user", "2", "ann")


def fail_many(stage: Stage, n_runs: int, *, first: int = 0, workflow: str = "payouts") -> Incident:
    """So many runs fail at once, and nothing is retried by itself."""
    with scoping.platform():
        Tenant.objects.filter(pk=stage.tenant.pk).update(storm_runs=0)
    payload = {"error_code": "service_unavailable", "vendor": "acquirer"}
    bodies = [
        event(workflow=workflow, run_id=f"run-{first + n:03}", payload=payload)
        for n in range(n_runs)
    ]
    submit_all(stage.tenant, bodies)
    digest_all()
    stage.turn()
    return stage.incidents()[0]


def no_breaker(stage: Stage) -> None:
    """The stages alone must stop what fails; and the vendor's rate is no part of these stories."""
    stage.rule(
        "acquirer",
        breaker__failure_threshold=1000,
        rate_limit__requests_per_second=1000,
        rate_limit__burst_size=1000,
    )


def planned(stage: Stage, incident: Incident, *, by: Actor = ALICE, **terms: Any) -> Campaign:
    with scoping.bound(stage.tenant.pk) as now:
        return campaign_plans.plan(
            campaign_plans.runs_of(incident),
            tenant_id=stage.tenant.pk,
            incident=incident,
            terms=Terms(**terms),
            by=by,
            now=now,
        )


def do(verb: Any, campaign: Campaign, *, by: Actor = ALICE, **why: str) -> Campaign:
    with scoping.bound(campaign.tenant_id) as now:
        done: Campaign = verb(campaign, by=by, now=now, **why)
        return done


def fresh(campaign: Campaign) -> Campaign:
    with scoping.bound(campaign.tenant_id):
        found: Campaign = Campaign.objects.for_tenant(campaign.tenant_id).get(pk=campaign.pk)
        return found


def fates(campaign: Campaign) -> dict[str, int]:
    with scoping.bound(campaign.tenant_id):
        lines = CampaignRun.objects.for_tenant(campaign.tenant_id).filter(campaign=campaign)
        return dict(Counter(lines.values_list("state", flat=True)))


def reasons(campaign: Campaign) -> dict[str, str]:
    with scoping.bound(campaign.tenant_id):
        lines = CampaignRun.objects.for_tenant(campaign.tenant_id).filter(campaign=campaign)
        return dict(lines.exclude(reason="").values_list("run__run_id", "reason"))


def succeed(stage: Stage, run_ids: Iterable[str]) -> None:
    """The workflow reports that these runs got through."""
    at = rfc3339.format(clock.read())
    bodies = [
        event(
            workflow="payouts",
            event_type="payout.completed",
            run_id=run_id,
            payload={"vendor": "acquirer"},
            occurred_at=at,
        )
        for run_id in run_ids
    ]
    if bodies:
        submit_all(stage.tenant, bodies)


def called(stage: Stage) -> list[str]:
    return [call["run_id"] for call in stage.calls]


def drive(stage: Stage, campaign: Campaign, time_travel: Travel, *, rounds: int = 100) -> Campaign:
    """Work until the campaign rests: what was accepted reports its success a moment later.

    Seconds in which nothing is called pass ten at a time.
    """
    told = n_quiet = 0
    for _ in range(rounds):
        n_before = len(stage.calls)
        stage.turn()
        n_quiet = n_quiet + 1 if len(stage.calls) == n_before else 0
        if fresh(campaign).status != "running":
            break
        if stage.recovers:
            succeed(stage, called(stage)[told:])
            told = len(stage.calls)
        time_travel(seconds=1 if n_quiet < 3 else 10)
    return fresh(campaign)
