"""What the API says of a breaker's window: how it is measured, what it holds, and why the breaker opened."""

import pytest

from safety import breaker
from safety.breaker_step import Outcome
from tenants import scoping
from tenants.models import Tenant, Vendor
from tenants.states import Scope
from tests.cast import Api, key_of
from tests.factories import VendorFactory

pytestmark = pytest.mark.django_db


def hear(vendor: Vendor, *outcomes: Outcome) -> None:
    with scoping.bound(vendor.tenant_id) as now:
        breaker.record(vendor, outcomes, now=now)


def test_the_window_and_the_reason_are_shown(acme: Tenant) -> None:
    api, vendor = Api(key_of(acme, Scope.READ)), VendorFactory(tenant=acme, name="stripe")
    hear(vendor, "failure", "success", "ignored")
    [shown] = [row["breaker"] for row in api.get("/api/v1/vendors").json()["results"]]
    assert shown["window"] == {
        "kind": "time",
        "seconds": 60,
        "max_calls": 100,
        "failure_rate_percent": 100.0,
        "slow_call_ms": 0,
        "slow_rate_percent": 100.0,
        "calls": 2,
        "failures": 1,
        "slow": 0,
    }
    for _ in range(10):
        hear(vendor, "failure")
    [shown] = [row["breaker"] for row in api.get("/api/v1/vendors").json()["results"]]
    assert (shown["state"], shown["opened_because"]) == ("open", "10 failures in a row")
    assert shown["window"]["calls"] == 0
