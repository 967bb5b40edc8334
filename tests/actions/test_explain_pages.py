"""The block "Why is this not retrying?" on the pages of incidents, runs and actions."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from actions.explain import Explanation
from actions.explained import why_not
from actions.models import Action
from actions.states import Status
from awfdrs_site.lib import clock
from incidents.models import Incident, Run
from incidents.states import RunState
from safety.gate import Gate
from tenants.models import Tenant
from tenants.scoping import bound
from tests.cast import signed_in
from tests.factories import (
    ActionFactory,
    BreakerFactory,
    IncidentFactory,
    RunFactory,
    VendorFactory,
    WorkflowFactory,
)

pytestmark = pytest.mark.django_db

ASKED = "Why is this not retrying?"


@pytest.fixture
def held(acme: Tenant) -> Action:
    """A retry behind an open breaker, its incident decided."""
    vendor = VendorFactory(tenant=acme, name="stripe")
    workflow = WorkflowFactory(tenant=acme, slug="checkout", retry_url="https://example.org/retry")
    incident = IncidentFactory(
        tenant=acme,
        workflow=workflow,
        vendor=vendor,
        classification={"is_certain": True},
        decided_at=clock.read(),
        unrecovered_runs=1,
    )
    run = RunFactory(
        tenant=acme, workflow=workflow, incident=incident, state=RunState.RETRY_SCHEDULED
    )
    BreakerFactory(
        tenant=acme,
        vendor=vendor,
        state="open",
        opened_at=clock.read(),
        open_until=clock.read() + timedelta(minutes=5),
    )
    return ActionFactory(tenant=acme, incident=incident, run=run, vendor=vendor)


def pages(action: Action) -> tuple[str, ...]:
    return (
        f"/incidents/{action.incident_id}/actions/",
        f"/runs/{action.run_id}/actions/",
        f"/actions/{action.pk}/",
    )


def test_every_page_says_what_holds_it_and_when_it_can_start(held: Action, bob: User) -> None:
    client = signed_in(bob)  # to know why, nobody needs to be more than a viewer
    for path in pages(held):
        page = client.get(path).content.decode()
        assert page.count(ASKED) == 1, path
        assert "Waits · attempt 1" in page
        assert "at the earliest" in page
        passing = re.search(r"(\d+) of (\d+) pass", page)
        assert passing is not None
        assert int(passing[1]) == int(passing[2]) - 1
        assert "Circuit breaker" in page
        assert "Calls under way, at the vendor" in page


def test_what_is_over_asks_nothing(held: Action, bob: User) -> None:
    with bound(held.tenant_id):
        Action.objects.for_tenant(held.tenant_id).update(status=Status.COMPLETED)
        Run.objects.for_tenant(held.tenant_id).update(state=RunState.RECOVERED_BY_ACTION)
        Incident.objects.for_tenant(held.tenant_id).update(status="resolved")
    client = signed_in(bob)
    for path in pages(held):
        assert ASKED not in client.get(path).content.decode()


def gates(*failing: str) -> tuple[Gate, ...]:
    names = ("still_needed", "kill_switch", "retry_budget", "circuit_breaker")
    return tuple(
        Gate(name, name not in failing, "v", "l", "s", "wait", detail=f"{name}!") for name in names
    )


def said(effect: str, *failing: str, **more: Any) -> Any:
    return why_not(Explanation(effect, "because", gates(*failing), **more))


def test_gates_that_hold_come_first_and_each_says_its_reason() -> None:
    told = said("wait", "retry_budget", "circuit_breaker", next_attempt=2)
    assert [gate.name for gate in told.gates] == [
        "Retry budget of the vendor",
        "Circuit breaker",
        "Still needed",
        "Kill switches",
    ]
    assert told.headline == "Waits · attempt 2"
    assert told.detail == "retry_budget! circuit_breaker!"
    assert told.n_passed == 2


def test_only_what_needs_a_person_has_a_persons_colour() -> None:
    kinds = {effect: said(effect).kind for effect in ("go", "wait", "park", "approve", "skip")}
    assert [effect for effect, kind in kinds.items() if kind == "human"] == ["park", "approve"]


def test_what_has_no_gates_has_no_block() -> None:
    assert why_not(Explanation("calling", "Attempt 1 is under way.")) is None
