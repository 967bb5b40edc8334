"""Permission is given to a plan as it was seen: by enough people, never by who asked, and not for what joined since."""

from typing import Any

import pytest

from actions import approval_plans, approvals, planning, vote_refusals, voting
from actions.models import Action, Approval, ApprovalVote
from actions.states import Status
from incidents.models import Run
from incidents.states import RunState
from tenants import keys, scoping
from tenants.journal import SYSTEM, Actor
from tenants.models import Tenant, Workflow
from tests.cast import decide_all, digest_all, event, journal_of, submit_all
from tests.factories import ActionFactory, IncidentFactory, RunFactory, WorkflowFactory

pytestmark = pytest.mark.django_db

ALICE = Actor("user", "1", "alice")
ANN = Actor("user", "2", "ann")
EVERY = pytest.mark.parametrize("verb", ["approve", "reject"])


def fail(tenant: Tenant, *runs: str) -> None:
    """These runs of the refunds fail, and are decided and planned for."""
    payload = {"error_code": "timeout", "vendor": "acquirer"}
    submit_all(tenant, [event(workflow="refunds", run_id=run, payload=payload) for run in runs])
    digest_all()
    decide_all()
    planning.plan_due()


@pytest.fixture
def refunds(acme: Tenant) -> Workflow:
    """A workflow that nobody may call twice unasked."""
    return WorkflowFactory(
        tenant=acme, slug="refunds", retry_url="https://refunds.example/retry", idempotent="no"
    )


def rows(tenant: Tenant, model: Any, **wanted: Any) -> Any:
    with scoping.bound(tenant.pk):
        return list(model.objects.for_tenant(tenant).filter(**wanted).order_by("id"))


def asked(tenant: Tenant) -> list[Approval]:
    return rows(tenant, Approval)  # type: ignore[no-any-return]


def statuses(tenant: Tenant, **wanted: Any) -> dict[str, int]:
    found = [action.status for action in rows(tenant, Action, **wanted)]
    return {status: found.count(status) for status in set(found)}


def vote(approval: Approval, by: Actor = ANN, **fields: Any) -> Approval:
    with scoping.bound(approval.tenant_id) as now:
        return voting.approve(approval, by=by, now=now, **fields)


def plan(approval: Approval) -> approval_plans.Plan:
    with scoping.bound(approval.tenant_id):
        return approval_plans.plan_of(approval)


def change(tenant: Tenant, **fields: Any) -> None:
    with scoping.platform():
        Tenant.objects.filter(pk=tenant.pk).update(**fields)


def edit(workflow: Workflow, **fields: Any) -> None:
    with scoping.bound(workflow.tenant_id):
        Workflow.objects.for_tenant(workflow.tenant_id).filter(pk=workflow.pk).update(**fields)


def waiting(tenant: Tenant, incident: Any = None, **fields: Any) -> Action:
    """A retry that waits for a person, asked for."""
    incident = incident or IncidentFactory(tenant=tenant)
    run = RunFactory(
        tenant=tenant, workflow=incident.workflow, incident=incident, state=RunState.RETRY_SCHEDULED
    )
    action = ActionFactory(
        tenant=tenant, incident=incident, run=run, status=Status.AWAITING_APPROVAL, **fields
    )
    with scoping.bound(tenant.pk) as now:
        approvals.ask([action], by=SYSTEM, now=now)
    return action


def test_a_plan_of_a_hundred_runs_three_recover_and_one_joins(
    acme: Tenant, refunds: Workflow
) -> None:
    fail(acme, *(f"run-{n}" for n in range(100)))
    [approval] = asked(acme)
    shown = plan(approval)
    assert statuses(acme) == {"awaiting_approval": 100}

    # three recover while the person reads, and one joins
    with scoping.bound(acme.pk):
        recovered = Run.objects.for_tenant(acme).filter(run_id__in=["run-1", "run-2", "run-3"])
        recovered.update(state=RunState.RECOVERED_AUTO)
    fail(acme, "run-100")
    assert plan(approval).plan_hash != shown.plan_hash
    done = vote(approval, seen=shown.plan_hash)

    # 97 run, one does not
    assert done.status == "approved"
    assert statuses(acme, approval=approval) == {"pending": 97, "skipped": 3}
    assert statuses(acme) == {"pending": 97, "skipped": 3, "awaiting_approval": 1}
    _, second = asked(acme)
    [joined] = rows(acme, Action, approval=second)
    assert (second.status, joined.status) == ("waiting", "awaiting_approval")
    assert {a.waiting_reason for a in rows(acme, Action, status="skipped")} == {voting.RECOVERED}
    assert journal_of(acme, approval.pk) == ["asked", "approved"]

    # an edited retry URL voids the approval with a diff
    edit(refunds, retry_url="https://elsewhere.example/")
    one = rows(acme, Action, status="pending")[0]
    with scoping.bound(acme.pk) as now:
        held = Action.objects.for_tenant(acme).select_for_update().get(pk=one.pk)
        assert not approvals.standing(held).is_approved
        Action.objects.for_tenant(acme).filter(pk=one.pk).update(status="awaiting_approval")
        approvals.ask([held], by=SYSTEM, now=now)
    first, _, third = asked(acme)
    assert first.status == "void"
    assert first.void_reason == {
        "call": ["https://refunds.example/retry", "https://elsewhere.example/"]
    }
    assert third.terms["call"] == "https://elsewhere.example/"
    assert statuses(acme, approval=third) == {"awaiting_approval": 97}


def test_a_plan_that_is_not_the_one_seen_is_refused_and_says_what_changed(
    acme: Tenant, refunds: Workflow
) -> None:
    fail(acme, "run-1", "run-2")
    [approval] = asked(acme)
    with pytest.raises(vote_refusals.PlanChanged):
        vote(approval, seen="0" * 64)
    edit(refunds, idempotent="key")
    with pytest.raises(vote_refusals.PlanChanged) as refused:
        vote(approval, seen=plan(approval).plan_hash)
    assert (refused.value.n_actions, refused.value.changed) == (2, {"idempotent": ["no", "key"]})
    assert statuses(acme) == {"awaiting_approval": 2}
    assert rows(acme, ApprovalVote) == []


def test_whoever_asked_does_not_approve_and_may_withdraw(acme: Tenant) -> None:
    action = waiting(acme, requested_by="alice", requested_by_id=ALICE.id)
    [approval] = asked(acme)
    with pytest.raises(vote_refusals.OwnRequest):
        vote(approval, by=ALICE)
    with scoping.bound(acme.pk) as now:
        for verb in (voting.approve_action, voting.run_action):
            with pytest.raises(vote_refusals.OwnRequest):
                verb(action, by=ALICE, now=now)
    assert statuses(acme) == {"awaiting_approval": 1}
    with scoping.bound(acme.pk) as now:
        voting.reject(approval, by=ALICE, now=now, reason="a typo")
    assert statuses(acme) == {"skipped": 1}


def key(tenant: Tenant, *, by: Actor = ANN) -> Actor:
    """Another API key that this person has made, as who calls with it."""
    with scoping.bound(tenant.pk) as now:
        made = keys.make(
            tenant.pk, name="deploy", scopes=["operate"], expires_at=None, by=by, now=now
        )
    return Actor("key", str(made.key.pk), "key deploy")


def test_a_person_and_all_their_keys_are_one_voter(acme: Tenant) -> None:
    change(acme, approvals_needed=2)
    waiting(acme)
    [approval] = asked(acme)
    of_nobody = [key(acme, by=SYSTEM) for _ in range(2)]
    for hers in (key(acme), key(acme), ANN):
        assert vote(approval, by=hers).status == "waiting"
    assert vote(approval, by=of_nobody[0]).status == "approved"
    assert len(rows(acme, ApprovalVote)) == 2
    # what no person has made is one voter as well
    waiting(acme)
    [_, second] = asked(acme)
    assert [vote(second, by=each).status for each in of_nobody] == ["waiting", "waiting"]


def test_who_asked_by_a_key_does_not_approve_by_hand_or_by_another(acme: Tenant) -> None:
    waiting(acme, requested_by="key deploy", requested_by_id=key(acme).id)
    [approval] = asked(acme)
    for hers in (key(acme), ANN):
        with pytest.raises(vote_refusals.OwnRequest):
            vote(approval, by=hers)
    assert vote(approval, by=key(acme, by=ALICE)).status == "approved"


def test_two_of_two_have_to_agree_and_one_counts_once(acme: Tenant) -> None:
    change(acme, approvals_needed=2)
    action = waiting(acme)
    [approval] = asked(acme)
    assert [vote(approval, by=ANN).status for _ in range(2)] == ["waiting", "waiting"]
    [held] = rows(acme, Action)
    assert (held.status, held.waiting_reason) == (
        "awaiting_approval",
        "1 of 2 people have approved.",
    )
    assert vote(approval, by=ALICE).status == "approved"
    [held] = rows(acme, Action)
    assert (held.status, held.parameters["approved_by"]) == ("pending", "ann, alice")
    assert journal_of(acme, action.pk) == ["approved"]


def test_the_first_vote_closes_the_plan(acme: Tenant) -> None:
    change(acme, approvals_needed=2)
    incident = IncidentFactory(tenant=acme)
    first = waiting(acme, incident)
    [approval] = asked(acme)
    vote(approval, by=ANN)
    late = waiting(acme, incident)
    assert plan(approval).until_id == first.pk
    vote(approval, by=ALICE)
    assert [a.status for a in rows(acme, Action, pk=late.pk)] == ["awaiting_approval"]
    assert len(asked(acme)) == 2


def test_one_word_against_is_enough_and_the_runs_wait_for_nobody(acme: Tenant) -> None:
    change(acme, approvals_needed=2)
    incident = IncidentFactory(tenant=acme)
    waiting(acme, incident)
    waiting(acme, incident)
    [approval] = asked(acme)
    vote(approval, by=ANN)
    with scoping.bound(acme.pk) as now:
        for _ in range(2):
            voting.reject(approval, by=ALICE, now=now, reason="paid by hand")
    assert statuses(acme) == {"skipped": 2}
    assert {a.waiting_reason for a in rows(acme, Action)} == {"alice rejected it: paid by hand"}
    assert [run.state for run in rows(acme, Run)] == ["failed", "failed"]
    assert journal_of(acme, approval.pk) == ["asked", "rejected"]


@EVERY
def test_what_is_decided_or_expired_is_not_decided_again(
    acme: Tenant, time_travel: Any, verb: str
) -> None:
    waiting(acme)
    [approval] = asked(acme)
    time_travel(hours=25)
    with scoping.bound(acme.pk) as now, pytest.raises(vote_refusals.ApprovalRefused) as refused:
        getattr(voting, verb)(approval, by=ANN, now=now, reason="late")
    assert refused.value.current == "expired"


def test_one_action_is_approved_without_its_group(acme: Tenant) -> None:
    incident = IncidentFactory(tenant=acme)
    one, other = waiting(acme, incident), waiting(acme, incident)
    with scoping.bound(acme.pk) as now:
        seen = approval_plans.plan_of_action(Action.objects.for_tenant(acme).get(pk=one.pk))
        voting.approve_action(one, by=ANN, now=now, seen=seen.plan_hash)
        voting.approve_action(one, by=ALICE, now=now)
        with pytest.raises(vote_refusals.PlanChanged):
            voting.approve_action(other, by=ANN, now=now, seen=seen.plan_hash)
    group, own = asked(acme)
    assert (group.status, own.status) == ("waiting", "approved")
    assert statuses(acme, approval=group) == {"awaiting_approval": 1}
    # the last of a group is the group
    with scoping.bound(acme.pk) as now:
        voting.reject_action(other, by=ANN, now=now, reason="no")
    assert [approval.status for approval in asked(acme)] == ["rejected", "approved"]


def test_running_by_hand_is_one_persons_word_where_that_is_enough(acme: Tenant) -> None:
    mine = ActionFactory(tenant=acme, requested_by_id=ALICE.id)
    with scoping.bound(acme.pk) as now:
        assert "approved_by" not in voting.run_action(mine, by=ALICE, now=now).parameters
        assert voting.run_action(mine, by=ANN, now=now).parameters == {"approved_by": "ann"}
    change(acme, approvals_needed=2)
    other = ActionFactory(tenant=acme, status=Status.FAILED)
    with scoping.bound(acme.pk) as now:
        assert voting.run_action(other, by=ANN, now=now).parameters == {}
