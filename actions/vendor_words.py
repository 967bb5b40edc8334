"""The only place that words a vendor's health: its breaker, its limits and their use, its retries by the minute."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from actions.vendor_shapes import Amplified, InForce, Use
from actions.vendor_use import Used
from incidents.presentation.figures import Bar, Chart
from incidents.presentation.shapes import NextStep
from safety import breaker
from safety.budget import Meter
from safety.effective import Effective
from safety.gatefacts import Budget
from safety.models import CircuitBreaker
from safety.ruletypes import BreakerPolicy
from safety.states import BreakerStatus, Forced
from tenants.models import Vendor

HEIGHT = 22  # of the highest bar, as an incident's hours
_STEP = 4
# What of the rules says how a vendor is called; the rest depends on the failure.
_OF_VENDOR = ("breaker.", "rate_limit.", "retry_budget.", "limits.max_retries_per_vendor")
_HELD: Mapping[str, tuple[str, str, str]] = {
    Forced.FORCED_OPEN: ("power", "Held open", "no call goes out"),
    Forced.FORCED_CLOSED: ("lock", "Held closed", "every call goes out"),
    Forced.SHADOW: ("eye", "Watching only", "it judges and refuses nothing"),
}


def step(row: CircuitBreaker | None, policy: BreakerPolicy, *, now: datetime) -> NextStep:
    """The breaker's state and what it does next."""
    if row is None:
        return NextStep("resolved", "circle-check", "Closed", detail="no call counted yet")
    if row.forced:
        icon, text, means = _HELD[row.forced]
        detail = f"{means}: {row.forced_reason}" if row.forced_reason else means
        until = "until handed back" if row.forced_until is None else "ends in"
        return NextStep("human", icon, text, until, row.forced_until, detail)
    if row.state == BreakerStatus.OPEN:
        return NextStep("open", "zap", "Open", "next probe in", row.open_until, row.opened_because)
    if row.state == BreakerStatus.HALF_OPEN:
        good, asked = row.successes, policy.half_open_requests
        probes = f"{good} of {asked} probes succeeded, {len(row.probes)} under way"
        return NextStep("recovering", "rotate-cw", "Half-open", detail=probes)
    return NextStep("resolved", "circle-check", "Closed", detail=window(row, policy, now=now))


def window(row: CircuitBreaker | None, policy: BreakerPolicy, *, now: datetime) -> str:
    """What the breaker has before its eyes."""
    if row is None:
        return "no call counted yet"
    tally = breaker.recent(row, policy=policy, now=now)
    by_time = policy.window == "time"
    span = f"{policy.window_seconds} s" if by_time else f"{policy.window_calls} calls"
    if not tally.calls:
        return f"no call in the last {span}"
    slow = f", {tally.slow:,} slow" if tally.slow else ""
    return f"{tally.failures:,} of {tally.calls:,} calls failed{slow} in the last {span}"


def openings(row: CircuitBreaker | None, policy: BreakerPolicy) -> str:
    """How near it is to opening, and how often it has."""
    failures = row.failures if row is not None else 0
    near = f"{failures:,} in a row failed; it opens at {policy.failure_threshold:,}"
    times = row.open_count if row is not None else 0
    if times < 2:
        return near
    return f"{near}. It opened {times:,} times without staying closed, each time for longer"


def uses(vendor: Vendor, used: Used, in_force: Effective, *, now: datetime) -> tuple[Use, ...]:
    """The vendor's limits, in the order in which the gates ask."""
    policy, rate = in_force.retry_budget, in_force.rate_limit
    budget = Budget(used.in_minute, used.originals, policy.share_percent, policy.floor_per_minute)
    per_hour = int(str(in_force.values["limits.max_retries_per_vendor"].value))
    return (
        Use("Retries", used.in_hour, per_hour, "in an hour"),
        Use("Retry budget", budget.made, budget.limit, "in a minute"),
        in_flight(vendor, used),
        Use(
            f"Rate, {rate.requests_per_second:g}/s",
            _burst(used.arrival_at, rate.requests_per_second, now=now),
            rate.burst_size,
            "of its burst",
        ),
    )


def in_flight(vendor: Vendor, used: Used) -> Use:
    return Use("Calls under way", used.in_flight, vendor.max_in_flight, "now")


def amplified(meter: Meter) -> Amplified:
    made, heard = meter.retries, meter.originals
    if not made and not heard:
        times, says = "–", "no call in the last hour"
    else:
        times = f"{meter.amplification:.2f}×" if heard else "–"
        says = f"{_n(made, 'retry', 'retries')} for {_n(heard, 'call', 'calls')} in the last hour"
    if meter.campaign_calls:
        says += f", {meter.campaign_calls:,} by campaigns"
    return Amplified(times, says, _minutes(meter, says))


def in_force(effective: Effective) -> tuple[InForce, ...]:
    """The values that say how the vendor is called, each with its source."""
    return tuple(
        InForce(
            name.replace(".", " ").replace("_", " ").capitalize(),
            value.value,
            value.source,
            value.override_id is not None,
        )
        for name, value in sorted(effective.values.items())
        if name.startswith(_OF_VENDOR)
    )


def _burst(arrival_at: datetime | None, per_second: float, *, now: datetime) -> int:
    """Tokens that are spent ahead of their time."""
    if arrival_at is None:
        return 0
    return max(0, round((arrival_at - now).total_seconds() * per_second))


def _minutes(meter: Meter, says: str) -> Chart:
    """Calls by the minute; retries stand on the workflows' own, as the chart's spikes."""
    peak = max(minute.originals + minute.retries for minute in meter.minutes)
    return Chart(
        span="60 minutes",
        width=len(meter.minutes) * _STEP - 1,
        bars=tuple(_bars(meter, peak)),
        peak=peak,
        total=meter.originals + meter.retries,
        label=says.capitalize(),
        ticks=(),
    )


def _bars(meter: Meter, peak: int) -> Iterator[Bar]:
    for place, minute in enumerate(meter.minutes):
        below = 0
        for n, is_retry in ((minute.originals, False), (minute.retries, True)):
            if n:
                height = min(HEIGHT - below, max(2, round(HEIGHT * n / peak)))
                yield Bar(place * _STEP, HEIGHT - below - height, height, is_retry, "")
                below += height


def _n(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"
