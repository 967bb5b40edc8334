"""Retries like it that did not work often enough make the next one wait for a person, who reads the figure (M28)."""

import pytest

from actions import planning, starting
from actions.models import Action
from actions.states import Status
from awfdrs_site.lib import clock
from incidents import replay
from incidents.models import Decision
from incidents.replay import Verdict
from incidents.states import RunState
from tenants.models import Tenant
from tenants.scoping import bound
from tests.cast import decide_all, digest_all, failure, submit
from tests.factories import (
    DecisionFactory,
    IncidentFactory,
    RunFactory,
    VendorFactory,
    WorkflowFactory,
)

pytestmark = pytest.mark.django_db


def retried(tenant: Tenant, *, worked: int, n: int) -> None:
    """Earlier failures of the kind at the vendor, each with one run that was retried."""
    incident = IncidentFactory(
        tenant=tenant,
        category="transient_error",
        vendor=VendorFactory(tenant=tenant, name="stripe"),
        status="resolved",
    )
    DecisionFactory(tenant=tenant, incident=incident, choice="retry")
    for place in range(n):
        RunFactory(
            tenant=tenant,
            incident=incident,
            workflow=incident.workflow,
            state=RunState.RECOVERED_BY_ACTION if place < worked else RunState.FAILED,
            attempted_at=clock.read(),
            planned_at=clock.read(),
        )


def planned(tenant: Tenant) -> Action:
    WorkflowFactory(
        tenant=tenant, slug="checkout", retry_url="https://c.example.org/r", idempotent="key"
    )
    submit(tenant, run_id="r1", payload=failure())
    digest_all()
    decide_all()
    planning.plan_due()
    with bound(tenant.pk):
        found: Action = Action.objects.for_tenant(tenant).get(action_type="retry")
        return found


@pytest.mark.parametrize(
    ("worked", "n", "waits"),
    [(2, 5, True), (0, 4, False), (5, 5, False), (12, 12, False), (8, 10, True)],
)
def test_a_poor_record_asks_a_person_and_too_few_outcomes_change_nothing(
    acme: Tenant, worked: int, n: int, waits: bool
) -> None:
    retried(acme, worked=worked, n=n)
    action = planned(acme)
    assert (action.status == Status.AWAITING_APPROVAL) == waits
    assert (f"worked {worked} of {n} times: at least" in action.waiting_reason) == waits
    assert action.decision_id is not None
    with bound(acme.pk):
        decision = Decision.objects.for_tenant(acme).get(pk=action.decision_id)
        assert replay.replay(decision, ()).verdict == Verdict.SAME
    shown = [gate for gate in decision.gates if gate["name"] == "track_record"]
    assert [gate["passed"] for gate in shown] == ([not waits] if n >= 5 else [])


def test_a_person_may_allow_it_all_the_same(acme: Tenant) -> None:
    retried(acme, worked=1, n=6)
    action = planned(acme)
    with bound(acme.pk) as now:
        Action.objects.for_tenant(acme).filter(pk=action.pk).update(
            status=Status.PENDING,
            parameters={"approved_by": "alice"},
            approval=None,
            lease_token=1,
            lease_until=now + 2 * starting.LEASE_MARGIN,
        )
    assert starting.start(tenant_id=acme.pk, action_id=action.pk, token=1) is not None
