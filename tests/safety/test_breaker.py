"""Breakers as rows: locked, journalled, shared by all workers, and the same after any restart."""

from datetime import datetime, timedelta

import pytest

from safety import breaker, rules, sweeps, tasks
from safety.breaker_step import Outcome
from safety.models import CircuitBreaker
from tenants.journal import Actor
from tenants.models import JournalEntry, Tenant, Vendor
from tenants.scoping import bound
from tests.cast import Travel, journal_of
from tests.factories import VendorFactory
from tests.threads import at_once

pytestmark = pytest.mark.django_db

THRESHOLD, PROBES = 10, 3  # stripe's in the shipped rulebook
OPEN_SECONDS = 331  # its 300 and up to a tenth of jitter
PROBE_SECONDS = 61
ALICE = Actor("user", "1", "alice")


@pytest.fixture
def stripe(acme: Tenant) -> Vendor:
    return VendorFactory(tenant=acme, name="stripe")


def row_of(vendor: Vendor) -> CircuitBreaker:
    with bound(vendor.tenant_id):
        found: CircuitBreaker = CircuitBreaker.objects.for_tenant(vendor.tenant_id).get()
    return found


def observe(vendor: Vendor, *outcomes: Outcome) -> None:
    with bound(vendor.tenant_id) as now:
        breaker.record(vendor, outcomes, now=now, cause="reported")


def ask(vendor: Vendor, call: str) -> breaker.Admitted:
    with bound(vendor.tenant_id) as now:
        admitted = breaker.admit(vendor, call_id=call, now=now)
        admitted.keep(now=now)
    return admitted


def answer(vendor: Vendor, call: str, outcome: Outcome, *, epoch: int) -> None:
    with bound(vendor.tenant_id) as now:
        breaker.record(vendor, [outcome], now=now, call_id=call, epoch=epoch)


def failures(count: int) -> list[Outcome]:
    return ["failure"] * count


def opened(vendor: Vendor) -> None:
    observe(vendor, *failures(THRESHOLD))


def test_a_vendor_without_a_row_is_closed(stripe: Vendor) -> None:
    assert ask(stripe, "a").admission.allowed
    assert row_of(stripe).state == "closed"


def test_it_opens_at_the_threshold_and_journals_once(acme: Tenant, stripe: Vendor) -> None:
    observe(stripe, *failures(THRESHOLD - 1))
    assert row_of(stripe).state == "closed"
    observe(stripe, "failure", "failure", "failure")
    row = row_of(stripe)
    assert (row.state, row.open_count) == ("open", 1)
    assert journal_of(acme) == ["breaker_opened"]
    with bound(acme.pk):
        detail = JournalEntry.objects.for_tenant(acme).get().detail
    assert (detail["vendor"], detail["before"], detail["after"]) == ("stripe", "closed", "open")
    assert detail["cause"] == "reported"
    assert datetime.fromisoformat(detail["open_until"]) == row.open_until


def test_what_changes_nothing_writes_nothing(stripe: Vendor) -> None:
    observe(stripe, "failure")
    before = row_of(stripe).version
    observe(stripe, "ignored", "ignored")
    ask(stripe, "a")
    assert row_of(stripe).version == before


def test_open_it_refuses_and_says_until_when(stripe: Vendor) -> None:
    opened(stripe)
    admission = ask(stripe, "a").admission
    assert not admission.allowed
    assert admission.retry_at == row_of(stripe).open_until
    assert "open until" in admission.reason


def test_another_tenants_breaker_of_the_same_vendor_stays_closed(
    stripe: Vendor, globex: Tenant
) -> None:
    theirs = VendorFactory(tenant=globex, name="stripe")
    opened(stripe)
    assert ask(theirs, "a").admission.allowed


def test_half_open_gives_exactly_its_probes_and_their_successes_close_it(
    acme: Tenant, stripe: Vendor, time_travel: Travel
) -> None:
    opened(stripe)
    time_travel(seconds=OPEN_SECONDS)
    probes = [ask(stripe, f"call-{n}").admission for n in range(PROBES + 2)]
    assert [p.allowed for p in probes] == [True] * PROBES + [False] * 2
    assert all(p.is_probe for p in probes[:PROBES])
    for n in range(PROBES):
        assert row_of(stripe).state == "half_open"
        answer(stripe, f"call-{n}", "success", epoch=probes[0].epoch)
    assert row_of(stripe).state == "closed"
    assert journal_of(acme) == ["breaker_opened", "breaker_half_opened", "breaker_closed"]


def test_a_failed_probe_opens_it_again_for_longer(stripe: Vendor, time_travel: Travel) -> None:
    opened(stripe)
    time_travel(seconds=OPEN_SECONDS)
    probe = ask(stripe, "call").admission
    answer(stripe, "call", "failure", epoch=probe.epoch)
    row = row_of(stripe)
    assert row.state == "open"
    assert row.opened_at is not None
    assert row.open_until is not None
    assert row.open_until - row.opened_at >= timedelta(seconds=600)


def test_a_result_of_an_older_epoch_is_ignored(stripe: Vendor, time_travel: Travel) -> None:
    slow = ask(stripe, "slow").admission  # sent while it was closed
    opened(stripe)
    time_travel(seconds=OPEN_SECONDS)
    probe = ask(stripe, "probe").admission
    answer(stripe, "slow", "failure", epoch=slow.epoch)
    assert row_of(stripe).state == "half_open"
    assert probe.epoch != slow.epoch


def test_a_dead_probe_gives_its_permit_back(stripe: Vendor, time_travel: Travel) -> None:
    opened(stripe)
    time_travel(seconds=OPEN_SECONDS)
    for n in range(PROBES):
        ask(stripe, f"dead-{n}")
    assert not ask(stripe, "late").admission.allowed
    time_travel(seconds=PROBE_SECONDS)
    # G10: not half-open for ever because a worker was killed
    assert ask(stripe, "late").admission.allowed


def test_an_admission_that_a_later_gate_refuses_costs_no_permit(
    stripe: Vendor, time_travel: Travel
) -> None:
    opened(stripe)
    time_travel(seconds=OPEN_SECONDS)
    for n in range(PROBES * 2):
        with bound(stripe.tenant_id) as now:
            assert breaker.admit(stripe, call_id=f"asked-{n}", now=now).admission.allowed
    assert ask(stripe, "kept").admission.allowed


def test_the_sweep_half_opens_what_is_due_without_traffic(
    acme: Tenant, stripe: Vendor, time_travel: Travel
) -> None:
    opened(stripe)
    assert sweeps.reset_due() == 0
    time_travel(seconds=OPEN_SECONDS)
    tasks.reset_circuit_breakers(unknown="argument of a newer release")
    assert row_of(stripe).state == "half_open"
    assert sweeps.reset_due() == 0
    assert journal_of(acme)[-1] == "breaker_half_opened"


def test_what_its_window_holds_is_shared_and_the_reason_is_journalled(
    acme: Tenant, stripe: Vendor
) -> None:
    with bound(acme.pk) as now:
        rules.override(
            tenant_id=acme.pk,
            scope="vendor",
            target="stripe",
            values={
                "breaker.failure_threshold": 3,
                "breaker.window": "count",
                "breaker.failure_rate_percent": 50,
                "breaker.slow_call_ms": 1000,
                "breaker.slow_rate_percent": 75,
            },
            reason="they fail now and then",
            by=ALICE,
            now=now,
        )
    observe(stripe, "failure", "success", "success")
    observe(stripe, "failure", "ignored")
    row = row_of(stripe)
    with bound(acme.pk) as now:
        recent = breaker.recent(row, policy=breaker.policy_for(stripe), now=now)
    assert (recent.calls, recent.failures, recent.failure_percent) == (4, 2, 50)
    observe(stripe, "success", "failure")
    assert row_of(stripe).opened_because == "3 of the last 6 calls failed"
    with bound(acme.pk):
        line = JournalEntry.objects.for_tenant(acme).get(verb="breaker_opened")
    assert line.detail["because"] == "3 of the last 6 calls failed"


def test_closed_by_its_probes_it_remembers_when(stripe: Vendor, time_travel: Travel) -> None:
    opened(stripe)
    assert row_of(stripe).opened_because == "10 failures in a row"
    time_travel(seconds=OPEN_SECONDS)
    probes = [ask(stripe, f"call-{n}").admission for n in range(PROBES)]
    for n in range(PROBES):
        answer(stripe, f"call-{n}", "success", epoch=probes[0].epoch)
    closed = row_of(stripe)
    assert closed.closed_at is not None
    assert (closed.open_count, closed.opened_because, closed.window) == (1, "", {})
    # down again at once: it stays open twice as long
    opened(stripe)
    row = row_of(stripe)
    assert row.open_until is not None
    assert row.open_until - closed.closed_at >= timedelta(seconds=600)


def force(vendor: Vendor, mode: str | None, *, until: datetime | None = None) -> None:
    with bound(vendor.tenant_id) as now:
        breaker.force(
            vendor,
            mode=mode,  # type: ignore[arg-type]
            reason="maintenance",
            until=until,
            by=ALICE,
            now=now,
        )


def test_a_person_forces_it_open_and_hands_it_back(acme: Tenant, stripe: Vendor) -> None:
    force(stripe, "forced_open")
    assert not ask(stripe, "a").admission.allowed
    observe(stripe, "success", "success")
    assert (row_of(stripe).state, row_of(stripe).forced) == ("open", "forced_open")
    force(stripe, None)
    assert (row_of(stripe).state, row_of(stripe).forced) == ("half_open", "")
    assert journal_of(acme) == ["breaker_forced", "breaker_freed"]
    with bound(acme.pk):
        line = JournalEntry.objects.for_tenant(acme).get(verb="breaker_forced")
    assert (line.actor_label, line.detail["cause"]) == ("alice", "maintenance")


def test_forced_closed_lets_calls_through_whatever_fails(stripe: Vendor) -> None:
    force(stripe, "forced_closed")
    opened(stripe)
    assert ask(stripe, "a").admission.allowed


def test_a_force_with_an_end_is_ended_by_the_sweep(stripe: Vendor, time_travel: Travel) -> None:
    with bound(stripe.tenant_id) as now:
        until = now + timedelta(minutes=10)
    force(stripe, "forced_closed", until=until)
    time_travel(minutes=11)
    assert sweeps.reset_due() == 1
    assert row_of(stripe).forced == ""


@pytest.mark.django_db(transaction=True)
def test_failures_seen_by_many_workers_at_once_are_all_counted(stripe: Vendor) -> None:
    at_once(THRESHOLD - 1, lambda _: observe(stripe, "failure"))
    # read-then-write would have lost some
    assert (row_of(stripe).state, row_of(stripe).failures) == ("closed", THRESHOLD - 1)


@pytest.mark.django_db(transaction=True)
def test_of_twenty_workers_at_the_half_open_instant_only_the_probes_get_through(
    acme: Tenant, stripe: Vendor, time_travel: Travel
) -> None:
    opened(stripe)
    time_travel(seconds=OPEN_SECONDS)
    admitted = at_once(20, lambda number: ask(stripe, f"call-{number}").admission.allowed)
    assert sum(admitted) == PROBES
    assert journal_of(acme) == ["breaker_opened", "breaker_half_opened"]


@pytest.mark.django_db(transaction=True)
def test_workers_that_meet_a_vendor_first_at_once_make_one_row(stripe: Vendor) -> None:
    assert all(at_once(8, lambda n: ask(stripe, str(n)).admission.allowed))
    assert row_of(stripe).state == "closed"
