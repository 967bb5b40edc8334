"""Everything fails at full speed, over many signatures at once: retries stay within the budget of the vendor (M45)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from pytest_django import Settings

from awfdrs_site.lib import clock
from safety import breaker, budget
from safety.ruletypes import RetryBudget
from tenants import scoping
from tenants.journal import SYSTEM
from tenants.models import JournalEntry, Tenant, Vendor
from tests.cast import event, submit_all
from tests.databases import Owner
from tests.factories import VendorFactory
from tests.faults.sizes import sized
from tests.faults.table import Row
from tests.journeys.conftest import Stage
from tests.journeys.conftest import stage as stage

pytestmark = pytest.mark.faults

NO_LIMIT = 100_000
SECOND = timedelta(seconds=1)
POLICY = RetryBudget()
Seconds = Callable[[], Iterator[int]]


@dataclass(frozen=True)
class Load:
    """So many signatures that no limit of one incident holds any of it back."""

    seconds: int
    per_second: int
    signatures: int

    @property
    def calls(self) -> int:
        return self.seconds * self.per_second


SMALL = Load(seconds=4, per_second=12, signatures=12)
PROMISED = Load(
    seconds=sized(small=SMALL.seconds, full=60),
    per_second=sized(small=SMALL.per_second, full=100),
    signatures=sized(small=SMALL.signatures, full=200),
)
_CLOCK = "create or replace function awf_now() returns timestamptz language sql volatile as '{}'"
_GOES = _CLOCK.format("select clock_timestamp() + ahead from travel.clock")
_STANDS = _CLOCK.format("select ''{}''::timestamptz")


@pytest.fixture
def load() -> Load:
    return PROMISED


@pytest.fixture
def seconds(owner: Owner, load: Load) -> Iterator[Seconds]:
    """A clock that stands still but when it is told: however slow this machine is, a second is a second."""
    began = clock.read()

    def tick() -> Iterator[int]:
        for second in range(load.seconds):
            owner.connection.execute(_STANDS.format(began + second * SECOND))
            yield second

    yield tick
    owner.connection.execute(_GOES)


@pytest.fixture
def unlimited(stage: Stage, settings: Settings, load: Load) -> Stage:
    """Only the budget is left: no storm limit, no breaker, no hourly limit, no rate."""
    settings.MAX_RETRIES_PER_VENDOR = NO_LIMIT
    vendor = VendorFactory(tenant=stage.tenant, name="acquirer")
    with scoping.platform():
        Tenant.objects.filter(pk=stage.tenant.pk).update(storm_runs=NO_LIMIT)
    with scoping.bound(stage.tenant.pk) as now:
        breaker.force(
            vendor, mode="forced_closed", reason="the story's", until=None, by=SYSTEM, now=now
        )
    stage.rule(
        "acquirer", rate_limit__requests_per_second=NO_LIMIT, rate_limit__burst_size=NO_LIMIT
    )
    for n in range(1, load.signatures):
        stage.opens(_slug(n))
    return stage


def _slug(n: int) -> str:
    return f"payouts-{n}" if n else "payouts"


def report(stage: Stage, load: Load, second: int, *, fails: int) -> None:
    """What the workflows say of this second: one in so many of their calls failed, each of another run."""
    bodies = []
    for n in range(load.per_second):
        place = second * load.per_second + n
        failed = {"error_code": "service_unavailable"} if place % fails == 0 else {}
        bodies.append(
            event(
                workflow=_slug(place % load.signatures),
                run_id=f"run-{place}",
                event_type="payout.failed" if failed else "payout.completed",
                payload={"vendor": "acquirer", **failed},
            )
        )
    submit_all(stage.tenant, bodies)
    stage.turn()


def everything_fails(stage: Stage, load: Load, seconds: Seconds) -> list[int]:
    """Originals and retries all fail; returns how many retries started in each second."""
    stage.recovers = False
    made: list[int] = []
    for second in seconds():
        report(stage, load, second, fails=1)
        made.append(len(stage.calls) - sum(made))
    return made


def above_the_budget(load: Load, made: list[int]) -> list[int]:
    """The seconds at whose end the minute behind them had more retries than a fifth of its calls, and ten."""
    return [
        end
        for end in range(load.seconds)
        if sum(made[max(0, end - 59) : end + 1])
        > POLICY.floor_per_minute
        + POLICY.share_percent / 100 * load.per_second * (end + 1 - max(0, end - 59))
    ]


def test_when_every_call_fails_retries_stay_within_the_budget(
    unlimited: Stage, load: Load, seconds: Seconds, row: Row
) -> None:
    made = everything_fails(unlimited, load, seconds)
    assert above_the_budget(load, made) == []
    allowed = POLICY.floor_per_minute + POLICY.share_percent / 100 * load.calls
    assert sum(made) >= 0.8 * allowed - load.per_second  # what is allowed is also used
    with scoping.bound(unlimited.tenant.pk) as now:
        vendor = Vendor.objects.for_tenant(unlimited.tenant).get(name="acquirer")
        meter = budget.meter(vendor, now=now)
    assert (meter.originals, meter.retries) == (load.calls, sum(made))
    row.tell(
        "every call of a vendor fails",
        load=f"{meter.originals} calls over {load.signatures} signatures, {meter.retries} retries: "
        f"{meter.amplification:.2f} ×",
        losses=len(above_the_budget(load, made)),
        control="without a budget: below",
    )


@pytest.mark.parametrize("load", [SMALL], ids=["small"])
def test_without_a_budget_the_same_failure_would_go_beyond_it(
    unlimited: Stage, load: Load, seconds: Seconds, row: Row
) -> None:
    """Small at every size: what goes beyond it within seconds needs no minute, and no budget holds back the work."""
    unlimited.rule(
        "acquirer",
        rate_limit__requests_per_second=NO_LIMIT,
        rate_limit__burst_size=NO_LIMIT,
        retry_budget__floor_per_minute=NO_LIMIT,
    )
    made = everything_fails(unlimited, load, seconds)
    above = above_the_budget(load, made)
    assert above
    row.tell(
        "the same without a budget, small at every size",
        load=f"{load.calls} calls over {load.signatures} signatures, {sum(made)} retries",
        losses=len(above),
        control=f"{len(above)} of {load.seconds} seconds above it, as they must",
    )


def test_when_one_call_in_a_hundred_fails_nothing_waits(
    unlimited: Stage, load: Load, seconds: Seconds, row: Row
) -> None:
    for second in seconds():
        report(unlimited, load, second, fails=100)
    assert unlimited.calls
    with scoping.bound(unlimited.tenant.pk):
        lines = JournalEntry.objects.for_tenant(unlimited.tenant)
        n_waiting = lines.filter(verb__in=("waits", "awaits_approval", "parked")).count()
    assert n_waiting == 0
    row.tell(
        "one call of a vendor in a hundred fails",
        load=f"{load.calls} calls, {len(unlimited.calls)} retries",
        losses=n_waiting,
        control="when every call fails they wait: above",
    )
