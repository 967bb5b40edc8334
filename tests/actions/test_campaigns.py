"""Re-drive campaigns: what is planned, called in stages, paused by what fails, and asked once per run for ever."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from actions import campaign_plans, campaign_terms, campaigns
from actions.campaign_terms import Tally, Terms
from actions.campaigns import CampaignRefused, MayNotGo
from actions.models import Campaign, CampaignRun
from awfdrs_site.lib import clock, rfc3339
from incidents.models import Incident, Run
from tenants import scoping
from tenants.journal import Actor
from tenants.models import Tenant, Workflow
from tests.cast import digest_all, event, journal_of, submit_all
from tests.factories import ActionFactory, CampaignFactory, CampaignRunFactory
from tests.journeys.conftest import Stage, Travel
from tests.journeys.conftest import stage as stage

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
    """Work until the campaign rests: what was accepted reports its success a moment later."""
    told = 0
    for _ in range(rounds):
        stage.turn()
        if fresh(campaign).status != "running":
            break
        if stage.recovers:
            succeed(stage, called(stage)[told:])
            told = len(stage.calls)
        time_travel(seconds=1)
    return fresh(campaign)


# ---- the terms, pure --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_runs", "stages", "ends"),
    [
        (400, (1, "5%", "25%", "100%"), [1, 20, 100, 400]),
        (3, (1, "5%", "25%", "100%"), [1, 3]),
        (1, (1, "5%", "25%", "100%"), [1]),
        (0, (1, "100%"), []),
        (10, (50, "100%"), [10]),
        (10, ("50%", 2, "100%"), [5, 10]),
    ],
)
def test_stages_say_how_many_were_called_when_each_is_over(
    n_runs: int, stages: tuple[int | str, ...], ends: list[int]
) -> None:
    assert campaign_terms.ends(Terms(stages=stages), n_runs) == ends


@pytest.mark.parametrize(
    ("n_runs", "n_answered", "n_failed", "has_failed"),
    [
        (1, 1, 1, True),  # the canary
        (1, 1, 0, False),
        (19, 4, 4, True),  # 4 of 19 are more than 20 % whatever the others do
        (19, 19, 3, False),
        (300, 5, 4, False),  # too few to say
        (300, 5, 5, True),
        (300, 100, 20, False),
        (300, 100, 21, True),
        (0, 0, 0, False),
    ],
)
def test_a_stage_has_failed_as_soon_as_that_is_certain(
    n_runs: int, n_answered: int, n_failed: int, has_failed: bool
) -> None:
    tally = Tally(n_runs, n_answered, n_failed, n_called=0, n_eligible=0, n_unanswered=0)
    assert campaign_terms.has_failed(Terms(), tally) is has_failed


# ---- the plan ---------------------------------------------------------------------------------


def test_the_plan_says_of_every_run_whether_it_is_called_and_why_not(stage: Stage) -> None:
    incident = fail_many(stage, 8)
    with scoping.bound(stage.tenant.pk):
        mine = Run.objects.for_tenant(stage.tenant)
        runs = {run.run_id: run for run in mine.select_related("incident")}
        mine.filter(run_id="run-000").update(state="recovered_auto")
        mine.filter(run_id="run-001").update(state="waived")
    common: dict[str, Any] = {"tenant": stage.tenant, "incident": incident}
    ActionFactory(**common, run=runs["run-002"], status="awaiting_approval")
    ActionFactory(**common, run=runs["run-003"], status="unknown")
    ActionFactory(**common, run=runs["run-004"], status="completed", verification="pending")
    other = CampaignFactory(**common, status="paused")
    CampaignRunFactory(tenant=stage.tenant, campaign=other, run=runs["run-005"])
    ended = CampaignFactory(**common, status="aborted")
    CampaignRunFactory(tenant=stage.tenant, campaign=ended, run=runs["run-006"], state="left")

    campaign = planned(stage, incident)
    assert reasons(campaign) == {
        "run-000": "recovered",
        "run-001": "waived",
        "run-002": "retry_under_way",
        "run-003": "outcome_unknown",
        "run-004": "retry_under_way",
        "run-005": "in_campaign",
    }
    assert (campaign.status, campaign.n_runs) == ("planned", 2)
    assert campaign.plan["ineligible"] == {
        "recovered": 1,
        "waived": 1,
        "retry_under_way": 2,
        "outcome_unknown": 1,
        "in_campaign": 1,
    }
    assert campaign.plan["stages"] == [1, 1]
    assert journal_of(stage.tenant, campaign.pk) == ["campaign_planned"]


def test_runs_without_an_address_or_of_an_ignored_incident_are_not_eligible(stage: Stage) -> None:
    incident = fail_many(stage, 1)
    with scoping.bound(stage.tenant.pk):
        Workflow.objects.for_tenant(stage.tenant).update(retry_url="")
    assert reasons(planned(stage, incident)) == {"run-000": "no_retry_url"}
    with scoping.bound(stage.tenant.pk):
        Incident.objects.for_tenant(stage.tenant).update(status="ignored")
    campaign = planned(stage, incident)
    assert reasons(campaign) == {"run-000": "incident_ignored"}
    with pytest.raises(MayNotGo, match="None of its runs"):
        do(campaigns.start, campaign)


def test_the_oldest_failure_comes_first(stage: Stage) -> None:
    incident = fail_many(stage, 5)
    with scoping.bound(stage.tenant.pk) as now:
        Run.objects.for_tenant(stage.tenant).filter(run_id="run-003").update(
            first_failed_at=now.replace(year=2020)
        )
    campaign = planned(stage, incident)
    with scoping.bound(stage.tenant.pk):
        lines = CampaignRun.objects.for_tenant(stage.tenant).filter(campaign=campaign)
        order = list(lines.order_by("place").values_list("run__run_id", "stage"))
    assert order[0] == ("run-003", 1)
    assert [number for _, number in order] == [1, 2, 3, 3, 3]


def test_the_same_runs_have_the_same_hash_and_other_terms_another(stage: Stage) -> None:
    incident = fail_many(stage, 3)
    first, second = planned(stage, incident), planned(stage, incident)
    assert first.plan_hash == second.plan_hash
    assert planned(stage, incident, failure_share=0.5).plan_hash != first.plan_hash


def test_more_runs_than_one_plan_holds_are_refused(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_plans, "RUNS_MOST", 2)
    incident = fail_many(stage, 3)
    with pytest.raises(campaign_plans.TooManyRuns):
        planned(stage, incident)


# ---- the verbs --------------------------------------------------------------------------------


def test_verbs_are_quiet_where_it_is_already_and_refused_where_they_do_not_fit(
    stage: Stage,
) -> None:
    campaign = planned(stage, fail_many(stage, 2))
    refusing: tuple[Any, ...] = (campaigns.pause, campaigns.resume)
    for verb in refusing:
        with pytest.raises(CampaignRefused) as refused:
            do(verb, campaign)
        assert refused.value.allowed == ("start", "abort")
    moves: list[tuple[Any, str]] = [
        (campaigns.start, "running"),
        (campaigns.pause, "paused"),
        (campaigns.resume, "running"),
        (campaigns.abort, "aborted"),
    ]
    for verb, status in moves:
        assert do(verb, campaign).status == status
        assert do(verb, campaign).status == status
    with pytest.raises(CampaignRefused):
        do(campaigns.start, campaign)
    verbs = [line.removeprefix("campaign_") for line in journal_of(stage.tenant, campaign.pk)]
    assert verbs == ["planned", "started", "paused", "resumed", "aborted"]
    assert fates(campaign) == {"left": 2}


def test_calls_that_may_do_harm_need_somebody_other_than_who_planned_them(stage: Stage) -> None:
    stage.opens("refunds", idempotent="no")
    campaign = planned(stage, fail_many(stage, 2, workflow="refunds"))
    with pytest.raises(MayNotGo, match=r"other than alice.*refunds does not declare"):
        do(campaigns.start, campaign)
    campaign = do(campaigns.start, campaign, by=ANN)
    assert (campaign.status, campaign.started_by) == ("running", "ann")
    # the vote is about exactly this plan
    with scoping.bound(stage.tenant.pk):
        approval = fresh(campaign).approval
        assert approval is not None
        [vote] = approval.votes.all()
    assert (vote.actor_label, vote.plan_hash) == ("ann", campaign.plan_hash)
    assert approval.status == "approved"


def test_as_many_start_it_as_the_tenant_asks_for(stage: Stage) -> None:
    with scoping.platform():
        Tenant.objects.filter(pk=stage.tenant.pk).update(approvals_needed=2)
    stage.opens("refunds", idempotent="no")
    campaign = planned(stage, fail_many(stage, 1, workflow="refunds"))
    for _ in range(2):  # one person is one vote
        assert do(campaigns.start, campaign, by=ANN).status == "planned"
    third = Actor("user", "3", "carol")
    assert do(campaigns.start, campaign, by=third).status == "running"


def test_an_edited_address_is_not_what_was_planned(stage: Stage, time_travel: Travel) -> None:
    no_breaker(stage)
    incident = fail_many(stage, 3)
    campaign, other = planned(stage, incident), planned(stage, incident)
    do(campaigns.start, campaign)
    stage.turn()
    with scoping.bound(stage.tenant.pk):
        Workflow.objects.for_tenant(stage.tenant).update(retry_url=stage.receiver.url("/other"))
    stage.turn()
    assert fresh(campaign).status == "paused"
    assert "retry URL of payouts was edited" in fresh(campaign).pause_reason
    going: tuple[tuple[Any, Campaign], ...] = (
        (campaigns.resume, campaign),
        (campaigns.start, other),
    )
    for verb, which in going:
        with pytest.raises(MayNotGo, match="plan what is left anew"):
            do(verb, which)
    assert len(stage.calls) == 1


# ---- the stages -------------------------------------------------------------------------------


def test_four_hundred_runs_whose_target_fails_from_the_tenth_call(
    stage: Stage, time_travel: Travel
) -> None:
    no_breaker(stage)
    incident = fail_many(stage, 400)
    campaign = planned(stage, incident)
    assert campaign.plan["stages"] == [1, 19, 80, 300]
    do(campaigns.start, campaign)

    # the canary alone, until its run is seen to succeed
    stage.turn()
    assert len(stage.calls) == 1
    time_travel(seconds=60)
    stage.turn()
    assert len(stage.calls) == 1

    answer = stage._answer
    stage.receiver.answer(
        "/retry",
        lambda request: answer(request) if len(stage.calls) < 10 else _busy(answer, request),
    )
    succeed(stage, called(stage))
    stage.turn()
    campaign = fresh(campaign)
    assert campaign.status == "paused"
    assert "calls failed, more than 20%" in campaign.pause_reason
    n_before = len(stage.calls)
    assert n_before <= 25
    # paused is paused
    time_travel(minutes=20)
    stage.turn()
    assert len(stage.calls) == n_before

    stage.receiver.answer("/retry", answer)
    do(campaigns.resume, campaign)
    campaign = drive(stage, campaign, time_travel)
    assert campaign.status == "completed"
    # every run once, none twice
    assert len(stage.calls) == len(set(called(stage))) == 400
    assert sum(fates(campaign).values()) == 400
    assert set(fates(campaign)) == {"recovered", "failed"}


def _busy(answer: Any, request: Any) -> Any:
    from tests.support.receiver import Reply

    answer(request)
    return Reply(status=503)
