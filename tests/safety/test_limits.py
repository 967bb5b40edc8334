"""The vendor's rate bucket: never above burst + rate × time in any window, whoever spends (G12)."""

from datetime import UTC, datetime, timedelta
from itertools import combinations_with_replacement

import pytest
from django_redis import get_redis_connection
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from awfdrs_site.lib import clock
from safety import limits
from safety.models import VendorBucket
from safety.ruletypes import RateLimit
from tenants.models import Tenant, Vendor
from tenants.scoping import bound
from tests.cast import Travel
from tests.factories import VendorFactory
from tests.threads import at_once

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMIT = RateLimit(requests_per_second=2, burst_size=3)


def take_at(vendor: Vendor, seconds: float, limit: RateLimit = LIMIT) -> limits.Taken:
    with bound(vendor.tenant_id):
        return limits.take(vendor, limit, now=NOON + timedelta(seconds=seconds))


def test_a_new_bucket_holds_one_token_not_a_burst(acme: Tenant) -> None:
    vendor = VendorFactory(tenant=acme)
    assert [take_at(vendor, 0).allowed for _ in range(3)] == [True, False, False]


def test_a_rested_bucket_allows_its_burst_and_then_its_rate(acme: Tenant) -> None:
    vendor = VendorFactory(tenant=acme)
    take_at(vendor, 0)
    assert [take_at(vendor, 60).allowed for _ in range(4)] == [True, True, True, False]
    assert [take_at(vendor, 60 + s).allowed for s in (0.4, 0.5, 0.6, 1.0)] == [
        False,
        True,
        False,
        True,
    ]


def test_a_refusal_says_when_to_come_back_and_then_it_is_allowed(acme: Tenant) -> None:
    vendor = VendorFactory(tenant=acme)
    take_at(vendor, 0)
    refused = take_at(vendor, 0.1)
    assert refused.clears_at == NOON + timedelta(seconds=0.5)
    assert not take_at(vendor, 0.499).allowed
    assert take_at(vendor, 0.5).allowed


def test_a_refusal_costs_nothing(acme: Tenant) -> None:
    vendor = VendorFactory(tenant=acme)
    take_at(vendor, 0)
    for _ in range(50):
        assert not take_at(vendor, 0.1).allowed
    assert take_at(vendor, 0.5).allowed


def test_every_vendor_and_every_tenant_has_a_bucket_of_its_own(
    acme: Tenant, globex: Tenant
) -> None:
    vendors = [
        VendorFactory(tenant=acme, name="a"),
        VendorFactory(tenant=acme, name="b"),
        VendorFactory(tenant=globex, name="a"),
    ]
    assert [take_at(vendor, 0).allowed for vendor in vendors] == [True, True, True]


def test_a_rate_that_does_not_divide_a_second_rounds_down(acme: Tenant) -> None:
    vendor = VendorFactory(tenant=acme)
    third = RateLimit(requests_per_second=3, burst_size=1)
    take_at(vendor, 0, third)
    assert not take_at(vendor, 0.333333, third).allowed  # a third of a microsecond early
    assert take_at(vendor, 0.333334, third).allowed


def test_less_than_one_a_day_is_a_rate_too(acme: Tenant) -> None:
    vendor = VendorFactory(tenant=acme)
    slow = RateLimit(requests_per_second=1 / 100_000, burst_size=1)
    assert take_at(vendor, 0, slow).allowed
    assert not take_at(vendor, 99_999, slow).allowed
    assert take_at(vendor, 100_001, slow).allowed


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rate=st.sampled_from([0.5, 1.0, 3.0, 30.0, 100.0]),
    burst=st.integers(1, 6),
    pauses=st.lists(st.sampled_from([0.0, 0.01, 0.05, 0.3, 1.0, 4.0]), min_size=1, max_size=25),
)
def test_no_window_ever_sees_more_than_burst_and_rate(
    acme: Tenant, rate: float, burst: int, pauses: list[float]
) -> None:
    vendor, limit = VendorFactory(tenant=acme), RateLimit(rate, burst)
    at, allowed = 0.0, []
    for pause in pauses:
        at += pause
        if take_at(vendor, at, limit).allowed:
            allowed.append(at)
    for start, end in combinations_with_replacement(allowed, 2):
        inside = [moment for moment in allowed if start <= moment <= end]
        assert len(inside) <= burst + rate * (end - start) + 1e-9
    # and it never starves: a burst's worth of rest always earns a token
    assert take_at(vendor, at + burst / rate + 0.001, limit).allowed


@pytest.mark.django_db(transaction=True)
def test_workers_that_spend_at_once_never_spend_a_token_twice(acme: Tenant) -> None:
    vendor = VendorFactory(tenant=acme)
    hourly = RateLimit(requests_per_second=1 / 3600, burst_size=7)
    take_at(vendor, -3600 * 24, hourly)  # rested for a day: a full burst

    def spend(_: int) -> int:
        return sum(take_at(vendor, 0, hourly).allowed for _ in range(5))

    assert sum(at_once(8, spend)) == 7


@pytest.mark.django_db(transaction=True)
def test_flushall_under_load_gives_no_token_back(acme: Tenant) -> None:
    vendor = VendorFactory(tenant=acme)
    hourly = RateLimit(requests_per_second=1 / 3600, burst_size=7)
    take_at(vendor, -3600 * 24, hourly)

    def spend_or_flush(number: int) -> int:
        if number == 0:
            return int(not get_redis_connection("default").flushall())
        return sum(take_at(vendor, 0, hourly).allowed for _ in range(5))

    assert sum(at_once(5, spend_or_flush)) == 7


@pytest.mark.django_db(transaction=True)
def test_the_bucket_lives_by_the_databases_clock(acme: Tenant, time_travel: Travel) -> None:
    vendor = VendorFactory(tenant=acme)

    def take() -> bool:
        with bound(acme.pk) as now:
            return limits.take(vendor, RateLimit(1 / 60, 1), now=now).allowed

    assert [take(), take()] == [True, False]
    time_travel(seconds=61)
    assert take()
    with bound(acme.pk):
        assert VendorBucket.objects.for_tenant(acme).get().arrival_at > clock.now()
