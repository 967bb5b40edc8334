"""A tenant with thousands of due actions delays another's by at most one tick of a worker."""

import pytest

from actions import execution
from actions.executors.base import Result
from actions.models import Action
from actions.states import Status
from tenants import scoping
from tenants.models import Tenant
from tenants.scoping import bound
from tests.actions.test_claiming import SLOTS, SPARE, unlimited, waits, workflow_of
from tests.faults.sizes import sized
from tests.faults.table import Row

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]

N_DUE = sized(small=500, full=10_000)
AT_A_TIME = 250
N_TICKS = sized(small=3, full=20)
OLDEST = "select tenant_id from actions_action where status = 'pending' order by run_at limit %s"


def test_another_tenants_action_goes_in_the_next_tick(
    acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch, row: Row
) -> None:
    done = Result("succeeded", response_status=200, says_vendor_is="success")
    monkeypatch.setitem(execution.EXECUTORS, "retry", lambda call: done)
    large, small = workflow_of(acme), workflow_of(globex)
    for _ in range(N_DUE // AT_A_TIME):  # thousands in one transaction would be idle for too long
        waits(large, AT_A_TIME, ago=3600)
    for tenant in (acme, globex):
        unlimited(tenant)
    waited: list[bool] = []
    for _ in range(N_TICKS):
        [late] = waits(small, 1, ago=0)
        # the positive control: were the oldest first, it would not be among them
        assert set(scoping.found(OLDEST, [SLOTS])) == {(acme.pk,)}
        execution.run_due(limit=SLOTS, spare=SPARE, together=SLOTS)
        with bound(globex.pk):
            waited.append(Action.objects.for_tenant(globex).get(pk=late).status != Status.COMPLETED)
    assert waited == [False] * N_TICKS
    with bound(acme.pk):
        n_acme = Action.objects.for_tenant(acme).filter(status=Status.COMPLETED).count()
    assert n_acme > 0  # its own go on, as far as their vendor's limits let them
    row.tell(
        "a tenant with many due actions",
        load=f"{N_DUE:,} due, {N_TICKS} ticks",
        losses=sum(waited),
        control="the oldest first would have been all its own",
    )
