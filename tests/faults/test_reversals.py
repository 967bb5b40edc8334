"""Many people press Reverse at one moment: it happens once, and everybody else is told so."""

from collections import Counter

import pytest

from actions import by_hand
from actions.models import Action
from safety.models import CircuitBreaker
from tenants import scoping
from tenants.journal import SYSTEM
from tenants.models import Tenant
from tests.cast import Api, journal_of, key_of
from tests.factories import VendorFactory
from tests.faults.sizes import sized
from tests.faults.table import Row
from tests.threads import at_once

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]

N_CALLS = sized(small=20, full=200)


def test_of_many_who_reverse_at_once_one_does(acme: Tenant, row: Row) -> None:
    vendor, token = VendorFactory(tenant=acme), key_of(acme)
    with scoping.bound(acme.pk) as now:
        action = by_hand.request(
            tenant_id=acme.pk,
            action_type="circuit_breaker_open",
            parameters={"reason": "they are down"},
            by=SYSTEM,
            now=now,
            dedupe_key="test",
            vendor_id=vendor.pk,
        )
    path = f"/api/v1/actions/{action.pk}/reverse"
    statuses = at_once(N_CALLS, lambda _: int(Api(token).post(path).status_code))

    assert Counter(statuses) == {201: 1, 409: N_CALLS - 1}
    with scoping.bound(acme.pk):
        assert Action.objects.for_tenant(acme).filter(reverses=action).count() == 1
        assert CircuitBreaker.objects.for_tenant(acme).get().forced == ""
    n_reversed = journal_of(acme, action.pk).count("reversed")
    assert n_reversed == 1
    row.tell(
        f"{N_CALLS} people reverse one action at once",
        load=f"{N_CALLS} calls",
        losses=n_reversed - 1,
        control=f"{statuses.count(409)} were told 409",
    )
