"""People who decide at once decide once; what joins while they vote is never let through by it."""

import pytest

from actions import approval_plans, approvals, voting
from actions.models import Action, Approval
from actions.states import Status
from tenants import scoping
from tenants.journal import SYSTEM, Actor
from tenants.models import Tenant
from tests.cast import journal_of
from tests.factories import ActionFactory, IncidentFactory, TenantFactory
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def people(n: int) -> list[Actor]:
    return [Actor("user", str(number), f"person{number}") for number in range(n)]


def ask(tenant: Tenant, n_actions: int) -> Approval:
    incident = IncidentFactory(tenant=tenant)
    actions = [
        ActionFactory(tenant=tenant, incident=incident, status=Status.AWAITING_APPROVAL)
        for _ in range(n_actions)
    ]
    with scoping.bound(tenant.pk) as now:
        approvals.ask(actions, by=SYSTEM, now=now)
        return Approval.objects.for_tenant(tenant).get()


@pytest.mark.parametrize("quorum", [1, 2])
def test_two_approvers_at_once_make_one_decision(quorum: int) -> None:
    acme = TenantFactory(approvals_needed=quorum)
    approval = ask(acme, 5)
    both = people(2)

    def vote(number: int) -> str:
        with scoping.bound(acme.pk, durable=True) as now:
            return voting.approve(approval, by=both[number], now=now).status

    assert sorted(at_once(2, vote)) == ["approved", "approved" if quorum == 1 else "waiting"]
    assert journal_of(acme, approval.pk) == ["asked", "approved"]
    with scoping.bound(acme.pk):
        found = list(Action.objects.for_tenant(acme).values_list("status", "version"))
    assert {status for status, _ in found} == {"pending"}
    assert journal_of(acme).count("approved") == 6  # the approval's line and one of each action


def test_what_is_asked_while_people_vote_is_not_let_through() -> None:
    acme = TenantFactory()
    approval = ask(acme, 3)
    with scoping.bound(acme.pk):
        incident = approval.incident
    late = [
        ActionFactory(tenant=acme, incident=incident, status=Status.AWAITING_APPROVAL)
        for _ in range(4)
    ]
    with scoping.bound(acme.pk):
        seen = approval_plans.plan_of(approval).plan_hash

    def work(number: int) -> None:
        with scoping.bound(acme.pk, durable=True) as now:
            if number == 4:
                voting.approve(approval, by=people(1)[0], now=now, seen=seen)
            else:
                approvals.ask([late[number]], by=SYSTEM, now=now)

    at_once(5, work)
    with scoping.bound(acme.pk):
        mine = Action.objects.for_tenant(acme)
        assert mine.filter(status=Status.PENDING).count() == 3
        left = mine.filter(pk__in=[action.pk for action in late])
        assert {a.status for a in left} == {"awaiting_approval"}
        assert {a.approval.status for a in left.select_related("approval") if a.approval} == {
            "waiting"
        }
