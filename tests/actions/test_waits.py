"""Between two attempts: who decided how long, and that each wait knows the one before."""

from typing import Any

import pytest

from actions import execution, planning, retry
from actions.executors.base import Result
from actions.models import Action
from actions.states import Status
from tenants import scoping
from tenants.models import Tenant
from tests.admin.pages import override
from tests.cast import Api, decide_all, digest_all, failure, key_of, submit
from tests.factories import AttemptFactory, WorkflowFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def planned(acme: Tenant) -> Action:
    WorkflowFactory(tenant=acme, slug="checkout", retry_url="https://example.org/retry")
    override(acme, target="stripe", retry__max_retries=4, retry__jitter="decorrelated")
    submit(acme, run_id="r1", payload=failure(error_code="service_unavailable"))
    digest_all()
    decide_all()
    planning.plan_due()
    return only(acme)


def only(tenant: Tenant) -> Action:
    with scoping.bound(tenant.pk):
        found: Action = (
            Action.objects.for_tenant(tenant).select_related("tenant").get(action_type="retry")
        )
    return found


def fails(action: Action) -> Action:
    """One more attempt, answered 503."""
    with scoping.bound(action.tenant_id):
        mine = Action.objects.for_tenant(action.tenant_id).filter(pk=action.pk)
        made = mine.get().attempts_made + 1
        mine.update(status=Status.IN_PROGRESS, lease_token=made, attempts_made=made)
    AttemptFactory(tenant=action.tenant, action=action, number=made, lease_token=made)
    claim = execution.Claim(action.tenant_id, action.pk, made)
    execution.settle(claim, Result("retryable", error="The workflow answered 503."))
    return only(action.tenant)


def test_the_winner_of_each_number_is_named_in_the_actions_detail(
    acme: Tenant, planned: Action
) -> None:
    policy = Api(key_of(acme)).get(f"/api/v1/actions/{planned.pk}").json()["policy"]
    assert (policy["max_retries"], policy["jitter"]) == (4, "decorrelated")
    assert policy["sources"]["max_retries"] == "override v1 for vendor stripe"
    assert policy["sources"]["backoff_multiplier"] != policy["sources"]["jitter"]


def test_each_wait_is_drawn_from_the_one_before(
    planned: Action, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [planned.result["waited_seconds"]]
    asked: list[float | None] = []
    real = retry.delay_seconds

    def noted(*args: Any, **kwargs: Any) -> float:
        asked.append(kwargs["previous_seconds"])
        return real(*args, **kwargs)

    monkeypatch.setattr(retry, "delay_seconds", noted)
    for _ in range(3):
        before.append(fails(planned).result["waited_seconds"])
    # without it, decorrelated jitter would never grow beyond its first range
    assert asked == before[:3]
    assert len(set(before)) == 4
