"""Asking for permission: what shares its terms is asked once, and what was edited afterwards was never allowed."""

from datetime import timedelta
from typing import Any

import pytest

from actions import approvals, terms
from actions.models import Action, Approval
from actions.states import ApprovalStatus, Status
from tenants import scoping
from tenants.journal import SYSTEM
from tenants.models import Tenant, Workflow
from tests.cast import journal_of
from tests.factories import ActionFactory, IncidentFactory, RunFactory, WorkflowFactory

pytestmark = pytest.mark.django_db

POLICY = {"enabled": True, "max_retries": 3, "backoff_strategy": "fixed", "initial_delay_ms": 2000}


def refunds(tenant: Tenant) -> Any:
    """An incident of a workflow that nobody may call twice unasked."""
    workflow = WorkflowFactory(
        tenant=tenant, slug="refunds", retry_url="https://refunds.example/retry", idempotent="no"
    )
    return IncidentFactory(tenant=tenant, workflow=workflow, error_code="timeout")


def waiting(incident: Any, **fields: Any) -> Action:
    run = RunFactory(tenant=incident.tenant, workflow=incident.workflow, incident=incident)
    given = {"status": Status.AWAITING_APPROVAL, "policy": POLICY, "requested_by": "AWFDRS"}
    return ActionFactory(tenant=incident.tenant, incident=incident, run=run, **(given | fields))


def ask(*actions: Action) -> None:
    with scoping.bound(actions[0].tenant_id) as now:
        approvals.ask(actions, by=SYSTEM, now=now)


def asked(tenant: Tenant) -> list[Approval]:
    with scoping.bound(tenant.pk):
        return list(Approval.objects.for_tenant(tenant).order_by("created_at", "id"))


def fresh(action: Action) -> Action:
    with scoping.bound(action.tenant_id):
        return (
            Action.objects.for_tenant(action.tenant_id).select_related("approval").get(pk=action.pk)
        )


def edit(workflow: Workflow, **fields: Any) -> None:
    with scoping.bound(workflow.tenant_id):
        Workflow.objects.for_tenant(workflow.tenant_id).filter(pk=workflow.pk).update(**fields)


def allow(approval: Approval, *actions: Action) -> None:
    """As if people had approved it."""
    with scoping.bound(approval.tenant_id):
        rows = Approval.objects.for_tenant(approval.tenant_id).filter(pk=approval.pk)
        rows.update(status=ApprovalStatus.APPROVED, plan_hash="x" * 64)
        mine = Action.objects.for_tenant(approval.tenant_id)
        mine.filter(pk__in=[action.pk for action in actions]).update(
            status=Status.PENDING, parameters={"approved_by": "ann"}
        )


def standing(action: Action) -> approvals.Standing:
    with scoping.bound(action.tenant_id):
        return approvals.standing(fresh(action))


def test_actions_of_the_same_terms_are_asked_once_and_asking_again_changes_nothing(
    acme: Tenant,
) -> None:
    incident = refunds(acme)
    first, second = waiting(incident), waiting(incident)
    ask(first, second)
    ask(first, second)
    ask(third := waiting(incident))
    [approval] = asked(acme)
    assert {fresh(action).approval_id for action in (first, second, third)} == {approval.pk}
    assert approval.terms["call"] == "https://refunds.example/retry"
    assert approval.terms["delays_seconds"] == [2, 2, 2]
    assert (approval.status, approval.quorum) == ("waiting", 1)
    assert approval.expires_at == approval.created_at + timedelta(hours=24)
    assert journal_of(acme, approval.pk) == ["asked"]


def test_other_terms_or_another_requester_are_asked_apart(acme: Tenant) -> None:
    incident = refunds(acme)
    ask(
        waiting(incident),
        waiting(incident, policy=POLICY | {"max_retries": 9}),
        waiting(incident, requested_by="alice", requested_by_id="7"),
        waiting(incident, requested_by="alice", requested_by_id="8"),
    )
    assert len(asked(acme)) == 4


def test_what_does_not_wait_is_not_asked_about(acme: Tenant) -> None:
    action = waiting(refunds(acme), status=Status.PENDING)
    ask(action)
    assert asked(acme) == []
    assert standing(action) == approvals.Standing(is_approved=False)


def test_only_an_approval_that_holds_allows(acme: Tenant) -> None:
    incident = refunds(acme)
    action = waiting(incident)
    ask(action)
    assert not standing(action).is_approved
    [approval] = asked(acme)
    allow(approval, action)
    assert standing(action) == approvals.Standing(is_approved=True)
    edit(incident.workflow, retry_url="https://elsewhere.example/")
    assert standing(action) == approvals.Standing(
        False, {"call": ["https://refunds.example/retry", "https://elsewhere.example/"]}
    )


def test_an_edit_voids_the_approval_with_its_diff_and_all_it_let_run_asks_again(
    acme: Tenant,
) -> None:
    incident = refunds(acme)
    first, second, held, done = (waiting(incident) for _ in range(4))
    ask(first, second, held, done)
    [approval] = asked(acme)
    allow(approval, first, second, held)
    edit(incident.workflow, idempotent="key")
    with scoping.bound(acme.pk) as now:
        mine = Action.objects.for_tenant(acme)
        mine.filter(pk=first.pk).update(status=Status.AWAITING_APPROVAL)  # its start says so
        mine.filter(pk=held.pk).update(lease_token=7, lease_until=now)  # a worker has it
        mine.filter(pk=done.pk).update(status=Status.COMPLETED)
    ask(first)
    old, new = asked(acme)
    assert (old.status, old.void_reason) == ("void", {"idempotent": ["no", "key"]})
    assert [fresh(action).approval for action in (first, second)] == [new, new]
    assert [fresh(action).status for action in (held, done)] == ["pending", "completed"]
    assert journal_of(acme, old.pk) == ["asked", "voided"]
    assert journal_of(acme, second.pk) == ["awaits_approval"]
    # the one that the worker had comes later and joins
    assert not standing(held).is_approved
    with scoping.bound(acme.pk):
        mine.filter(pk=held.pk).update(status=Status.AWAITING_APPROVAL)
    ask(held)
    assert fresh(held).approval == new


def test_a_longer_plan_has_another_hash_and_its_beginning_keeps_its_own(acme: Tenant) -> None:
    ids = sorted(waiting(refunds_of).pk for refunds_of in [refunds(acme)] * 3)
    whole = list(terms.plan_hashes("t" * 64, ids))
    assert [pk for pk, _ in whole] == ids
    assert list(terms.plan_hashes("t" * 64, ids[:2])) == whole[:2]
    assert len({digest for _, digest in whole}) == 3
    assert list(terms.plan_hashes("u" * 64, ids)) != whole
