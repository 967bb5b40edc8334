"""One more failed run of an incident that people were told of: planned at once, beside whoever holds the incident."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from actions import planning
from actions.models import Action
from incidents.models import Incident, Run
from tenants import scoping
from tenants.models import Tenant
from tests.cast import decide_all, digest_all, failure, submit
from tests.databases import Owner
from tests.factories import WorkflowFactory

pytestmark = pytest.mark.django_db(transaction=True)


def fails(tenant: Tenant, run_id: str, **fields: Any) -> Incident:
    submit(tenant, run_id=run_id, payload=failure(**fields))
    digest_all()
    decide_all()
    with scoping.bound(tenant.pk):
        return Incident.objects.for_tenant(tenant).select_related("workflow").latest("id")


def unplanned(tenant: Tenant) -> list[str]:
    with scoping.bound(tenant.pk):
        mine = Run.objects.for_tenant(tenant).unplanned()
        return list(mine.values_list("run_id", flat=True))


def actions_of(tenant: Tenant) -> list[str]:
    with scoping.bound(tenant.pk):
        mine = Action.objects.for_tenant(tenant).order_by("id")
        return list(mine.values_list("action_type", flat=True))


@pytest.fixture
def told(acme: Tenant) -> Incident:
    """Its workflow has no door for retries: people are told."""
    WorkflowFactory(tenant=acme, slug="checkout", retry_url="")
    incident = fails(acme, "run-1")
    planning.plan_due()
    assert (actions_of(acme), unplanned(acme)) == (["escalate"], [])
    return incident


@contextmanager
def held(owner: Owner, incident: Incident) -> Iterator[None]:
    with owner.connection.transaction():
        owner.connection.execute(
            "select from incidents_incident where id = %s for update", (incident.pk,)
        )
        yield


def test_it_waits_for_nobody_who_holds_the_incident(
    acme: Tenant, told: Incident, owner: Owner
) -> None:
    fails(acme, "run-2")
    with held(owner, told):
        assert planning.plan_due() == 1
    assert (actions_of(acme), unplanned(acme)) == (["escalate"], [])
    assert planning.plan_due() == 0


def test_its_neighbours_are_planned_as_ever(acme: Tenant, globex: Tenant, told: Incident) -> None:
    WorkflowFactory(tenant=globex, slug="checkout", retry_url="")
    fails(acme, "run-2")
    fails(globex, "run-1")
    assert planning.plan_due() == 2
    assert (actions_of(globex), unplanned(globex)) == (["escalate"], [])


def test_a_new_decision_is_planned_and_not_left(acme: Tenant, told: Incident) -> None:
    with scoping.bound(acme.pk):
        type(told.workflow).objects.for_tenant(acme).update(retry_url="https://example.org/retry")
        Incident.objects.for_tenant(acme).update(decided_at=None, planned_at=None)
    fails(acme, "run-2")
    planning.plan_due()
    assert actions_of(acme) == ["escalate", "retry"]
