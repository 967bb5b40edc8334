"""The retry budget: in any minute at most a floor and a share of the calls that were no retries (M45)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety import budget
from safety.models import VendorSecond
from safety.ruletypes import RetryBudget
from tenants.models import Tenant, Vendor
from tenants.scoping import bound
from tests.cast import digest_all, event, failure, submit_all
from tests.factories import RunFactory, VendorFactory, WorkflowFactory

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = RetryBudget(share_percent=20, floor_per_minute=10)


def ago(seconds: float) -> datetime:
    return NOON - timedelta(seconds=seconds)


def test_a_quiet_vendor_has_its_floor() -> None:
    left = budget.judge([ago(1)] * 9, [], POLICY, now=NOON)
    assert (left.made, left.limit, left.is_empty, left.clears_at) == (9, 10, False, None)


def test_its_own_calls_earn_a_share_beside_the_floor() -> None:
    left = budget.judge([ago(1)] * 12, [(ago(3), 10), (ago(2), 5)], POLICY, now=NOON)
    assert (left.originals, left.limit, left.is_empty) == (15, 13, False)


def test_it_clears_in_the_second_in_which_the_oldest_retry_leaves_the_minute() -> None:
    left = budget.judge([ago(41.5), *[ago(2)] * 9], [], POLICY, now=NOON)
    assert left.is_empty
    assert left.clears_at == NOON + timedelta(seconds=18.5)


def test_calls_that_leave_the_minute_take_their_share_with_them() -> None:
    # ten retries over the floor are paid by fifty calls that end first: then only those that are left count
    retries = [ago(50)] * 5 + [ago(20)] * 15
    left = budget.judge(retries, [(ago(59), 50)], POLICY, now=NOON)
    assert (left.made, left.limit) == (20, 20)
    # at +10 s five retries leave, but the fifty calls have left at +1 s: 15 of 10; all of them must go
    assert left.clears_at == NOON + timedelta(seconds=40)


def test_what_leaves_at_one_moment_leaves_together() -> None:
    retries = [ago(30)] + [ago(5)] * 10
    left = budget.judge(retries, [(ago(30), 5)], POLICY, now=NOON)
    assert (left.made, left.limit) == (11, 11)
    assert left.clears_at == NOON + timedelta(seconds=55)


@given(
    retries=st.lists(st.integers(0, 599), max_size=40),
    heard=st.lists(st.tuples(st.integers(0, 59), st.integers(1, 60)), max_size=12),
)
def test_it_clears_at_the_first_moment_that_passes(
    retries: list[int], heard: list[tuple[int, int]]
) -> None:
    made, calls = [ago(s / 10) for s in retries], [(ago(s), n) for s, n in heard]

    def is_empty(at: datetime) -> bool:
        return budget.judge(made, calls, POLICY, now=at).is_empty

    left = budget.judge(made, calls, POLICY, now=NOON)
    if not left.is_empty:
        assert left.clears_at is None
        return
    assert left.clears_at is not None
    assert not is_empty(left.clears_at)
    tenths = int((left.clears_at - NOON) / timedelta(seconds=0.1))
    assert all(is_empty(NOON + timedelta(seconds=n / 10)) for n in range(tenths))


@pytest.mark.django_db
def test_calls_of_one_second_add_up_and_a_minute_later_start_anew(acme: Tenant) -> None:
    vendor = VendorFactory(tenant=acme)
    with bound(acme.pk):
        for seconds, n in ((0, 2), (0.4, 3), (1, 1), (59, 7)):
            budget.hear(vendor, n, now=NOON + timedelta(seconds=seconds))
        assert sum(n for _, n in budget.heard(vendor, now=NOON + timedelta(seconds=59))) == 13
        # the second that is exactly a minute old is out of the window
        assert sum(n for _, n in budget.heard(vendor, now=NOON + timedelta(seconds=60))) == 8
        budget.hear(vendor, 4, now=NOON + timedelta(seconds=60))
        # a digest that began before the newer second keeps out of it
        budget.hear(vendor, 9, now=NOON)
        mine = VendorSecond.objects.for_tenant(acme)
        assert dict(mine.values_list("slot", "originals")) == {0: 4, 1: 1, 59: 7}


@pytest.mark.django_db
def test_the_meter_tells_the_last_hour_by_minute_and_campaigns_apart(acme: Tenant) -> None:
    vendor, quiet = VendorFactory(tenant=acme, name="a"), VendorFactory(tenant=acme, name="b")
    with bound(acme.pk):
        budget.hear(
            vendor, 100, now=NOON - timedelta(minutes=60)
        )  # out of the hour, same row as noon
        budget.hear(vendor, 7, now=NOON - timedelta(minutes=59))
        for seconds in (0, 30, 59):
            budget.spend(vendor, is_of_campaign=False, now=NOON + timedelta(seconds=seconds))
        budget.hear(vendor, 3, now=NOON)
        budget.spend(vendor, is_of_campaign=True, now=NOON)
        told = budget.meters(acme.pk, [vendor.pk, quiet.pk], now=NOON + timedelta(seconds=59))
    meter = told[vendor.pk]
    assert (meter.originals, meter.retries, meter.campaign_calls) == (10, 3, 1)
    assert meter.amplification == 1.3
    assert [minute.at for minute in meter.minutes] == [
        NOON - timedelta(minutes=n) for n in range(59, -1, -1)
    ]
    assert (meter.minutes[0].originals, meter.minutes[-1].retries) == (7, 3)
    assert told[quiet.pk].amplification == 1


@pytest.mark.django_db
def test_a_late_digest_keeps_out_of_the_newer_minute(acme: Tenant) -> None:
    vendor = VendorFactory(tenant=acme)
    with bound(acme.pk):
        budget.spend(vendor, is_of_campaign=False, now=NOON)
        budget.hear(vendor, 100, now=NOON - timedelta(hours=1))
        meter = budget.meter(vendor, now=NOON)
    assert (meter.originals, meter.retries) == (0, 1)


def heard_of(tenant: Tenant, name: str = "stripe") -> int:
    with bound(tenant.pk) as now:
        vendor = Vendor.objects.for_tenant(tenant).get(name=name)
        return sum(n for _, n in budget.heard(vendor, now=now))


@pytest.mark.django_db
def test_the_digest_counts_what_runs_say_before_any_retry_of_theirs(acme: Tenant) -> None:
    workflow = WorkflowFactory(tenant=acme, slug="checkout")
    with bound(acme.pk) as now:
        RunFactory(
            tenant=acme,
            workflow=workflow,
            run_id="retried",
            state="retry_scheduled",
            attempted_at=now,
        )
    done = event(event_type="payment.completed", run_id="b", payload={"vendor": "stripe"})
    again = event(run_id="retried")
    elsewhere = event(run_id="c", payload={"error_code": "payment_timeout"})
    submit_all(acme, [event(run_id="a"), done, event(payload=failure()), again, elsewhere])
    digest_all()
    # a failure, a success and a failure of no run; not what our retry caused, nor what names no vendor
    assert heard_of(acme) == 3
    with bound(acme.pk) as now:
        vendor = Vendor.objects.for_tenant(acme).get(name="stripe")
        assert budget.meter(vendor, now=now).originals == 3


@pytest.mark.django_db
def test_a_run_that_fails_anew_after_its_recovery_calls_by_itself_again(acme: Tenant) -> None:
    workflow = WorkflowFactory(tenant=acme, slug="checkout")
    with bound(acme.pk) as now:
        RunFactory(
            tenant=acme,
            workflow=workflow,
            run_id="a",
            state="recovered_by_action",
            attempted_at=now - timedelta(hours=1),
            recovered_at=now - timedelta(hours=1),
            succeeded_at=now - timedelta(hours=1),
            success_occurred_at=now - timedelta(hours=1),
        )
    submit_all(acme, [event(run_id="a")])
    digest_all()
    assert heard_of(acme) == 1
