"""A compensation that people allowed is made as they allowed it, or asked anew."""

import pytest

from actions import approval_sweeps, execution, lifecycle, vote_refusals, voting
from actions.lifecycle import ActionRefused
from actions.models import Action
from actions.states import Status
from tenants import scoping
from tenants.journal import Actor
from tenants.models import Tenant, Workflow
from tests.actions.test_compensation import ALICE, again, ask, sent

pytestmark = pytest.mark.django_db(transaction=True)

ANN = Actor("user", "2", "ann")


@pytest.fixture
def asked(acme: Tenant) -> Action:
    return ask(sent(acme, "https://example.org/undo", idempotent="no"))


def test_who_asked_for_it_does_not_allow_it_by_running_it(asked: Action) -> None:
    with (
        scoping.bound(asked.tenant_id) as now,
        pytest.raises((ActionRefused, vote_refusals.VoteRefused)),
    ):
        lifecycle.run_now(again(asked), by=ALICE, now=now)
    assert again(asked).status == Status.AWAITING_APPROVAL


def test_an_edited_url_is_asked_for_again(asked: Action) -> None:
    with scoping.bound(asked.tenant_id) as now:
        voting.approve_action(again(asked), by=ANN, now=now)
    assert again(asked).status == Status.PENDING
    with scoping.bound(asked.tenant_id):
        mine = Workflow.objects.for_tenant(asked.tenant_id).filter(idempotent="no")
        assert mine.update(compensate_url="https://elsewhere.example/undo") == 1
    execution.run_due()
    assert again(asked).status == Status.AWAITING_APPROVAL
    assert again(asked).attempts_made == 0


def test_it_waits_on_though_its_run_recovered(asked: Action) -> None:
    # A retry of a recovered run is needless; its compensation is asked for because the run recovered.
    approval_sweeps.keep_due()
    assert again(asked).status == Status.AWAITING_APPROVAL
