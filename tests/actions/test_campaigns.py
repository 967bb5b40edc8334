"""Re-drive campaigns: what is planned, called in stages, paused by what fails, and asked once per run for ever."""

from typing import Any

import pytest

from actions import campaign_plans, campaign_stages, campaign_terms, campaigns
from actions.campaign_terms import Tally, Terms
from actions.campaigns import CampaignRefused, MayNotGo
from actions.models import Campaign, CampaignRun
from incidents.models import Incident, Run
from safety import breaker
from safety.models import RuleOverride
from tenants import scoping
from tenants.journal import Actor
from tenants.models import Tenant, Vendor, Workflow
from tests.cast import Travel, journal_of
from tests.factories import ActionFactory, CampaignFactory, CampaignRunFactory
from tests.faults.sizes import sized
from tests.journeys.conftest import Stage
from tests.journeys.conftest import stage as stage
from tests.support.campaigns import (
    ANN,
    called,
    do,
    drive,
    fail_many,
    fates,
    fresh,
    no_breaker,
    planned,
    reasons,
    succeed,
)
from tests.support.receiver import Received, Reply

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


@pytest.mark.parametrize("word", [{"retry.enabled": False}, {"mode": "off"}, {"mode": "shadow"}])
def test_what_a_rule_forbids_no_campaign_calls(stage: Stage, word: dict[str, Any]) -> None:
    incident = fail_many(stage, 2)
    rule(stage, **word)
    assert reasons(planned(stage, incident)) == dict.fromkeys(
        ("run-000", "run-001"), "rule_forbids"
    )


def test_a_rule_that_asks_for_approval_asks_it_of_campaigns_too(stage: Stage) -> None:
    incident = fail_many(stage, 1)
    rule(stage, mode="approve")
    campaign = planned(stage, incident)
    with pytest.raises(MayNotGo, match=f"asks for approval of every retry of {incident}"):
        do(campaigns.start, campaign)
    assert do(campaigns.start, campaign, by=ANN).status == "running"


def rule(stage: Stage, **values: Any) -> None:
    with scoping.bound(stage.tenant.pk) as now:
        RuleOverride.objects.create(
            tenant=stage.tenant,
            scope="workflow",
            target="payouts",
            values=values,
            version=1,
            author="ann",
            reason="look first",
            created_at=now,
        )


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


def fails_from(stage: Stage, nth: int) -> None:
    """The target answers 503 from its nth call on."""
    answer = stage._answer

    def answering(request: Received) -> Reply:
        reply = answer(request)  # which checks the signature
        return reply if len(stage.receiver.requests) < nth else Reply(status=503)

    stage.receiver.answer("/retry", answering)


RUNS = sized(small=60, full=400)


@pytest.mark.faults
def test_many_runs_whose_target_fails_from_the_tenth_call(
    stage: Stage, time_travel: Travel
) -> None:
    no_breaker(stage)
    campaign = planned(stage, fail_many(stage, RUNS))
    assert campaign.plan["stages"] == {400: [1, 19, 80, 300], 60: [1, 2, 12, 45]}[RUNS]
    fails_from(stage, 10)
    do(campaigns.start, campaign)

    # the canary alone, until its run is seen to succeed
    stage.turn()
    time_travel(seconds=60)
    stage.turn()
    assert len(stage.calls) == 1
    campaign = drive(stage, campaign, time_travel)
    assert campaign.status == "paused"
    assert campaign.pause_reason.endswith("calls failed, more than 20%.")
    n_before = len(stage.calls)
    assert 10 < n_before <= 25
    # paused is paused
    time_travel(minutes=20)
    stage.turn()
    assert len(stage.calls) == n_before

    stage.receiver.answer("/retry", stage._answer)
    do(campaigns.resume, campaign)
    campaign = drive(stage, campaign, time_travel)
    assert campaign.status == "completed"
    # every run once, none twice
    assert len(stage.calls) == len(set(called(stage))) == RUNS
    assert sum(fates(campaign).values()) == RUNS
    assert set(fates(campaign)) == {"recovered", "failed"}


def test_a_canary_that_fails_pauses_at_once(stage: Stage, time_travel: Travel) -> None:
    campaign = do(campaigns.start, planned(stage, fail_many(stage, 5)))
    stage.recovers = False
    campaign = drive(stage, campaign, time_travel)
    assert (campaign.status, campaign.stage, len(stage.calls)) == ("paused", 1, 1)
    assert campaign.pause_reason == "Stage 1: 1 of 1 calls failed, more than 20%."


def test_accepted_without_success_counts_as_failed(stage: Stage, time_travel: Travel) -> None:
    incident = fail_many(stage, 5)
    campaign = do(campaigns.start, planned(stage, incident, verify_seconds=60))
    stage.turn()
    time_travel(seconds=59)
    stage.turn()
    assert fresh(campaign).status == "running"
    time_travel(seconds=2)
    stage.turn()
    assert (fresh(campaign).status, len(stage.calls)) == ("paused", 1)
    assert reasons(campaign) == {called(stage)[0]: "not_verified"}
    # a success that comes late is one all the same, and the campaign goes on from it
    succeed(stage, called(stage))
    do(campaigns.resume, campaign)
    campaign = drive(stage, campaign, time_travel)
    assert (campaign.status, fates(campaign)) == ("completed", {"recovered": 5})


def test_it_pauses_when_the_circuit_breaker_leaves_closed(
    stage: Stage, time_travel: Travel
) -> None:
    campaign = do(campaigns.start, planned(stage, fail_many(stage, 5)))
    stage.turn()
    with scoping.bound(stage.tenant.pk) as now:
        vendor = Vendor.objects.for_tenant(stage.tenant).get(name="acquirer")
        breaker.force(vendor, mode="forced_open", reason="they asked", until=None, by=ANN, now=now)
    stage.turn()
    assert fresh(campaign).pause_reason == "The circuit breaker of acquirer is forced open."
    assert len(stage.calls) == 1


def test_what_recovers_or_is_called_otherwise_before_its_turn_is_left(
    stage: Stage, time_travel: Travel
) -> None:
    campaign = planned(stage, fail_many(stage, 4), stages=(1, "100%"))
    succeed(stage, ["run-001"])
    with scoping.bound(stage.tenant.pk):
        runs = Run.objects.for_tenant(stage.tenant).select_related("incident")
        busy = runs.get(run_id="run-002")
    ActionFactory(tenant=stage.tenant, incident=busy.incident, run=busy, status="awaiting_approval")
    do(campaigns.start, campaign)
    campaign = drive(stage, campaign, time_travel)
    assert campaign.status == "completed"
    assert fates(campaign) == {"recovered": 2, "left": 2}
    assert reasons(campaign) == {"run-001": "recovered", "run-002": "retry_under_way"}
    assert sorted(called(stage)) == ["run-000", "run-003"]


def test_pausing_holds_what_is_not_sent_and_aborting_leaves_it(
    stage: Stage, time_travel: Travel
) -> None:
    campaign = do(campaigns.start, planned(stage, fail_many(stage, 3), stages=("100%",)))
    for _ in range(2):  # the stage begins, its calls are made; nobody sends them yet
        campaign_stages.advance_due()
    do(campaigns.pause, campaign, reason="look first")
    assert {action.status for action in stage.actions()} == {"parked"}
    time_travel(minutes=1)
    stage.turn()
    assert stage.calls == []
    do(campaigns.abort, campaign)
    stage.turn()
    assert {action.status for action in stage.actions()} == {"skipped"}
    assert fates(campaign) == {"left": 3}
    assert stage.states() == ["failed"] * 3
    # and what is left may be planned anew
    assert planned(stage, stage.incidents()[0]).n_runs == 3


def test_resuming_sends_what_pausing_held(stage: Stage, time_travel: Travel) -> None:
    campaign = do(campaigns.start, planned(stage, fail_many(stage, 3), stages=("100%",)))
    for _ in range(2):
        campaign_stages.advance_due()
    do(campaigns.pause, campaign)
    do(campaigns.resume, campaign)
    campaign = drive(stage, campaign, time_travel)
    assert (campaign.status, fates(campaign)) == ("completed", {"recovered": 3})
    assert len(called(stage)) == 3


def test_nothing_moves_is_no_work(stage: Stage) -> None:
    do(campaigns.start, planned(stage, fail_many(stage, 2)))
    stage.turn()  # which would not come to rest
    assert campaign_stages.advance_due() == 0


def test_calls_of_a_campaign_say_whose_word_they_are_and_are_made_once(
    stage: Stage, time_travel: Travel
) -> None:
    campaign = do(campaigns.start, planned(stage, fail_many(stage, 1)), by=ANN)
    stage.recovers = False
    drive(stage, campaign, time_travel)
    [action] = stage.actions()
    assert action.campaign_id == campaign.pk
    assert (action.status, action.attempts_made, action.attempts_max) == ("failed", 1, 1)
    assert (action.requested_by, action.parameters["approved_by"]) == ("alice", "ann")
    time_travel(hours=1)
    stage.turn()
    assert len(stage.calls) == 1
