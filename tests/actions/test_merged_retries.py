"""Retries of merged incidents: they go on, each as its own workflow allows, and no run gets two at once."""

import pytest
from django.contrib.auth.models import User
from django.db.models import QuerySet

from actions import facts, lifecycle, outlook, planning, verification
from actions.models import Action
from actions.states import Status, Verification
from awfdrs_site.lib import clock
from incidents import lifecycle as incident_lifecycle
from incidents.models import Incident, Run
from incidents.states import RunState
from tenants.models import Tenant, Vendor
from tenants.scoping import bound
from tests.cast import Api, Travel, decide_all, key_of, signed_in
from tests.factories import WorkflowFactory
from tests.incidents.test_merging import ALICE, again, fail, merge, split

pytestmark = pytest.mark.django_db

RETRIED = "service_unavailable"  # a code whose rules allow a retry


@pytest.fixture
def pair(acme: Tenant) -> tuple[Incident, Incident]:
    """Two incidents of two workflows that can be retried, not planned for yet."""
    for slug in ("payouts", "refunds"):
        WorkflowFactory(tenant=acme, slug=slug, retry_url=f"https://{slug}.example/retry")
    target = fail(acme, RETRIED, "p1", workflow="payouts")
    other = fail(acme, RETRIED, "f1", workflow="refunds")
    return target, other


def retries(tenant: Tenant) -> QuerySet[Action]:
    mine = Action.objects.for_tenant(tenant).filter(action_type="retry").order_by("id")
    return mine.select_related("run", "workflow", "vendor", "incident")


def plan(tenant: Tenant) -> list[Action]:
    decide_all()
    planning.plan_due()
    with bound(tenant.pk):
        return list(retries(tenant))


def is_needed(action: Action) -> bool:
    with bound(action.tenant_id) as now:
        return facts.of_action(action, facts.look([action], now=now, lock=False)).is_still_needed


def test_a_pending_retry_goes_on_and_the_run_gets_no_second_one(
    acme: Tenant, pair: tuple[Incident, Incident]
) -> None:
    target, other = pair
    assert len(plan(acme)) == 2
    merge(target, other)
    assert len(plan(acme)) == 2
    fail(acme, RETRIED, "f1", workflow="refunds")  # hurt already: nothing new to plan
    assert len(plan(acme)) == 2
    assert all(is_needed(action) for action in plan(acme))
    split(again(target), other)
    # decided anew, but the run's retry is on its way
    assert len(plan(acme)) == 2


def test_who_ignores_the_target_ignores_the_retries_of_its_members(
    acme: Tenant, pair: tuple[Incident, Incident]
) -> None:
    target, other = pair
    plan(acme)
    merge(target, other)
    with bound(acme.pk) as now:
        incident_lifecycle.ignore(target, by=ALICE, now=now, reason="known")
    assert [is_needed(action) for action in plan(acme)] == [False, False]


def test_runs_of_a_member_are_planned_as_their_own_workflow_and_vendor_say(
    acme: Tenant, pair: tuple[Incident, Incident]
) -> None:
    target, other = pair
    merge(target, other)
    fail(acme, RETRIED, "f2", workflow="refunds")
    actions = {action.run.run_id: action for action in plan(acme) if action.run}
    assert {run: a.workflow.slug for run, a in actions.items() if a.workflow} == {
        "p1": "payouts",
        "f1": "refunds",
        "f2": "refunds",
    }
    assert {action.incident_id for action in actions.values()} == {target.pk, other.pk}
    with bound(acme.pk):
        stripe = Vendor.objects.for_tenant(acme).get(name="stripe")
    assert {action.vendor_id for action in actions.values()} == {stripe.pk}


def test_what_may_not_repeat_waits_for_a_person_though_the_target_may(
    acme: Tenant, pair: tuple[Incident, Incident]
) -> None:
    target, _ = pair
    WorkflowFactory(
        tenant=acme, slug="money", retry_url="https://money.example/retry", idempotent="no"
    )
    careful = fail(acme, RETRIED, "m1", workflow="money")
    merge(target, careful)
    statuses = {action.run.run_id: action.status for action in plan(acme) if action.run}
    assert (statuses["p1"], statuses["m1"]) == (Status.PENDING, Status.AWAITING_APPROVAL)


def test_a_workflow_that_cannot_be_retried_is_said_to_people(
    acme: Tenant, pair: tuple[Incident, Incident]
) -> None:
    target, _ = pair
    other = fail(acme, RETRIED, "c1", workflow="checkout")  # it registered itself
    merge(target, other)
    assert {action.run.run_id for action in plan(acme) if action.run} == {"p1", "f1"}
    with bound(acme.pk):
        run = Run.objects.for_tenant(acme).get(run_id="c1")
    assert run.state == RunState.FAILED
    assert "has no retry URL" in run.recovery_note
    assert again(target).status == "escalated"


def test_the_target_lists_and_tells_what_is_planned_for_its_members(
    acme: Tenant, alice: User, pair: tuple[Incident, Incident]
) -> None:
    target, other = pair
    plan(acme)
    merge(target, other)
    api = Api(key_of(acme))
    listed = api.get(f"/api/v1/incidents/{target.pk}/actions").json()
    assert listed["count"] == 2
    lines = api.get(f"/api/v1/incidents/{target.pk}/timeline?page_size=100").json()["results"]
    assert [line["verb"] for line in lines].count("planned") == 2
    panel = signed_in(alice).get(f"/incidents/{target.pk}/actions/").content.decode()
    assert "p1" in panel
    assert "f1" in panel
    with bound(acme.pk):
        told = outlook.outlooks(acme.pk, [target.pk, other.pk])
        assert set(told) == {target.pk}
        assert told[target.pk].n_waiting == 2
        assert outlook.has_open(acme.pk, target.pk)


def test_what_waits_for_approval_on_a_member_is_the_targets_to_show(
    acme: Tenant, pair: tuple[Incident, Incident]
) -> None:
    target, other = pair
    action = next(a for a in plan(acme) if a.incident_id == other.pk)
    merge(target, other)
    with bound(acme.pk):
        retries(acme).filter(pk=action.pk).update(status=Status.AWAITING_APPROVAL)
        mine = Incident.objects.for_tenant(acme).open()
        waiting = mine.filter(pk__in=outlook.waiting_for_people(acme.pk))
        assert list(waiting) == [target]


def test_when_a_members_retry_fails_the_target_is_escalated(
    acme: Tenant, time_travel: Travel, pair: tuple[Incident, Incident]
) -> None:
    target, other = pair
    action = next(a for a in plan(acme) if a.incident_id == other.pk)
    merge(target, other)
    with bound(acme.pk) as now:
        retries(acme).filter(pk=action.pk).update(
            status=Status.COMPLETED,
            verification=Verification.PENDING,
            started_at=now,
            settled_at=now,
        )
        assert lifecycle.waited_for_by(action) == target
    time_travel(minutes=16)
    verification.verify_due()
    assert (again(target).status, again(other).status) == ("escalated", "resolved")
    assert clock.read() > target.opened_at
