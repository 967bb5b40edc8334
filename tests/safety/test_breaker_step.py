"""One circuit breaker by tables: closed, its window, open, half-open, forced, stored."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from safety.breaker_step import (
    Admission,
    BreakerState,
    Forced,
    Outcome,
    admit,
    as_json,
    force,
    from_json,
    record,
    tick,
)
from safety.breaker_window import BUCKETS, Tally, tally
from safety.ruletypes import BreakerPolicy

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = BreakerPolicy(
    failure_threshold=3, timeout_seconds=10, half_open_requests=2, probe_lease_seconds=5
)
CLOSED = BreakerState()


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def ask(state: BreakerState, second: float, call: str = "c1") -> tuple[BreakerState, Admission]:
    return admit(state, now=at(second), policy=POLICY, call_id=call)


def observe(state: BreakerState, second: float, outcome: Outcome = "failure") -> BreakerState:
    return record(state, now=at(second), policy=POLICY, outcome=outcome, call_id=None, epoch=None)


def settle(state: BreakerState, second: float, call: str, outcome: Outcome) -> BreakerState:
    return record(
        state, now=at(second), policy=POLICY, outcome=outcome, call_id=call, epoch=state.epoch
    )


def opened(second: float = 0) -> BreakerState:
    state = CLOSED
    for _ in range(POLICY.failure_threshold):
        state = observe(state, second)
    return state


def half_open(second: float = 10) -> BreakerState:
    return tick(opened(second - 10), now=at(second), policy=POLICY)


# --- closed ------------------------------------------------------------------------------------


def test_a_closed_breaker_lets_every_call_through() -> None:
    for _ in range(100):
        state, admission = ask(CLOSED, 0)
        assert admission == Admission(True, 0, False, None, "closed")
        assert state == CLOSED


def test_it_opens_at_the_threshold_and_not_before() -> None:
    two = observe(observe(CLOSED, 0), 1)
    assert (two.state, two.failures) == ("closed", 2)
    three = observe(two, 2)
    assert (three.state, three.opened_at, three.open_until) == ("open", at(2), at(12))
    assert three.epoch == two.epoch + 1


def test_a_success_starts_the_count_over() -> None:
    two = observe(observe(CLOSED, 0), 0)
    assert observe(two, 1, "success").failures == 0
    assert observe(observe(two, 1, "success"), 2).state == "closed"


def test_our_own_failures_count_like_observed_ones() -> None:
    state = CLOSED
    for call in ("a", "b", "c"):
        state = settle(state, 0, call, "failure")
    assert state.state == "open"


def test_a_failure_that_says_nothing_about_the_vendor_changes_nothing() -> None:
    two = observe(observe(CLOSED, 0), 0)
    assert observe(two, 1, "ignored") == two


def test_a_lowered_threshold_opens_with_the_next_failure() -> None:
    stricter = replace(POLICY, failure_threshold=1)
    two = observe(observe(CLOSED, 0), 0)
    state = record(two, now=at(1), policy=stricter, outcome="failure", call_id=None, epoch=None)
    assert state.state == "open"


def test_a_result_of_an_older_epoch_changes_nothing() -> None:
    state, admission = ask(CLOSED, 0)
    for outcome in ("failure", "success"):
        for epoch in (admission.epoch, None):
            late = half_open()
            assert late == record(
                late, now=at(10), policy=POLICY, outcome=outcome, call_id="c1", epoch=epoch
            )
    assert state == CLOSED


# --- its window --------------------------------------------------------------------------------

RATES = replace(POLICY, failure_rate_percent=50, slow_call_ms=1000, slow_rate_percent=50)
BY_COUNT = replace(RATES, window="count", window_calls=10)


def hear(
    state: BreakerState,
    second: float,
    outcome: Outcome = "failure",
    *,
    policy: BreakerPolicy = RATES,
    latency_ms: int | None = None,
) -> BreakerState:
    return record(
        state,
        now=at(second),
        policy=policy,
        outcome=outcome,
        call_id="own",
        epoch=state.epoch,
        latency_ms=latency_ms,
    )


def heard(letters: str, *, policy: BreakerPolicy = RATES, apart: float = 0) -> BreakerState:
    """A letter a call: f failed, s succeeded, i says nothing, S succeeded slowly, F failed slowly."""
    outcomes: dict[str, Outcome] = {"f": "failure", "s": "success", "i": "ignored"}
    state = CLOSED
    for number, letter in enumerate(letters):
        latency_ms = 1001 if letter.isupper() else 1000
        outcome = outcomes[letter.lower()]
        state = hear(state, number * apart, outcome, policy=policy, latency_ms=latency_ms)
    return state


@pytest.mark.parametrize("policy", [RATES, BY_COUNT])
@pytest.mark.parametrize(
    ("calls", "because"),
    [
        ("fff", "3 failures in a row"),  # at any rate
        ("sssssssfff", "3 failures in a row"),
        ("fsfsf", "3 of the last 5 calls failed"),
        ("sssffsf", ""),  # 3 of 7
        ("ff", ""),  # all of them, and not enough
        ("fsf", ""),
        ("fiiisiifii", ""),  # user, validation and auth errors are no calls of the window
        ("fisiifsif", "3 of the last 5 calls failed"),
        ("SSS", "3 of the last 3 calls were slow"),
        ("sSsSsS", "3 of the last 6 calls were slow"),
        ("sssSsSsS", ""),
        ("SS", ""),
        ("FSF", "3 of the last 3 calls were slow"),  # a failure may be slow too
    ],
)
def test_it_opens_when_enough_of_its_recent_calls_failed_or_were_slow(
    policy: BreakerPolicy, calls: str, because: str
) -> None:
    state = heard(calls, policy=policy)
    assert (state.state, state.opened_because) == ("open" if because else "closed", because)


def test_as_shipped_only_failures_in_a_row_open_it() -> None:
    assert heard("ffsffsffsffS", policy=POLICY).state == "closed"
    assert heard("SSSSSSSSSSSS", policy=POLICY).state == "closed"


def test_a_window_by_time_forgets_a_tenth_at_a_time() -> None:
    state = hear(hear(CLOSED, 0), 5.9)
    assert tally(state.window, now=at(59.9), policy=RATES) == Tally(calls=2, failures=2, slow=0)
    assert tally(state.window, now=at(60), policy=RATES).calls == 0
    # two failures and a success, and an hour later a third: no longer two thirds of its calls
    later = hear(hear(state, 6, "success"), 3600, "failure")
    assert later.state == "closed"
    assert tally(later.window, now=at(3600), policy=RATES).calls == 1


def test_a_window_by_count_holds_its_last_calls_however_old() -> None:
    state = heard("fsfsssssss", policy=BY_COUNT, apart=1000)
    assert tally(state.window, now=at(10**6), policy=BY_COUNT) == Tally(10, 2, 0)
    assert tally(heard("fsfsssssssss", policy=BY_COUNT).window, now=NOON, policy=BY_COUNT) == Tally(
        calls=10, failures=1, slow=0
    )


@pytest.mark.parametrize("n_calls", [1, 7, 15, 100, 101, 100_000])
def test_a_window_by_count_never_holds_more_than_it_should(n_calls: int) -> None:
    policy = replace(BY_COUNT, window_calls=n_calls)
    state = heard("s" * 300, policy=policy)
    found = tally(state.window, now=NOON, policy=policy).calls
    assert min(n_calls, 300) * 0.75 - 1 < found <= n_calls
    assert len(state.window.buckets) <= BUCKETS


def test_a_window_that_is_measured_otherwise_starts_empty() -> None:
    state = heard("fsf")
    longer = replace(RATES, window_seconds=120)
    assert tally(state.window, now=NOON, policy=longer).calls == 0
    state = hear(state, 0, "success", policy=longer)
    assert tally(state.window, now=NOON, policy=longer) == Tally(calls=1, failures=0, slow=0)


def test_what_a_clock_that_ran_ahead_wrote_is_not_recent() -> None:
    state = hear(hear(CLOSED, 3600), 0, "success")
    assert tally(state.window, now=NOON, policy=RATES) == Tally(calls=1, failures=0, slow=0)


def test_whoever_waited_for_the_row_joins_the_last_bucket() -> None:
    state = hear(hear(CLOSED, 6), 5.9)
    assert [bucket.calls for bucket in state.window.buckets] == [2]


def test_an_empty_window_has_no_rates() -> None:
    empty = tally(CLOSED.window, now=NOON, policy=RATES)
    assert (empty.calls, empty.failure_percent, empty.slow_percent) == (0, 0, 0)


# --- open --------------------------------------------------------------------------------------


def test_an_open_breaker_refuses_and_says_until_when() -> None:
    state, admission = ask(opened(), 9.999)
    assert admission == Admission(False, 1, False, at(10), "open until 12:00:10 UTC")
    assert state == opened()


def test_nothing_that_is_observed_moves_an_open_breaker() -> None:
    for outcome in ("failure", "success", "ignored"):
        assert observe(opened(), 5, outcome) == opened()


def test_time_alone_makes_it_half_open() -> None:
    assert tick(opened(), now=at(9.999), policy=POLICY) == opened()
    state = tick(opened(), now=at(10), policy=POLICY)
    assert (state.state, state.epoch, state.open_until, state.opened_at) == (
        "half_open",
        2,
        None,
        at(0),
    )


def test_jitter_only_ever_adds_up_to_a_tenth() -> None:
    two = observe(observe(CLOSED, 0), 0)
    state = record(
        two, now=at(0), policy=POLICY, outcome="failure", call_id=None, epoch=None, jitter=0.5
    )
    assert state.open_until == at(10.5)


# --- half-open ---------------------------------------------------------------------------------


def test_it_leases_exactly_its_number_of_probes() -> None:
    state, first = ask(half_open(), 10, "a")
    state, second = ask(state, 11, "b")
    assert first == Admission(True, 2, True, None, "half-open: probe 1 of 2")
    assert second == Admission(True, 2, True, None, "half-open: probe 2 of 2")
    state, third = ask(state, 12, "c")
    # the first lease to run out is the first chance
    assert third == Admission(False, 2, False, at(15), "half-open: all 2 probes are given")
    assert set(state.probes) == {"a", "b"}


def test_the_same_call_asks_twice_for_one_permit() -> None:
    state, _ = ask(half_open(), 10, "a")
    state, again = ask(state, 12, "a")
    assert again.is_probe
    assert dict(state.probes) == {"a": at(17)}
    # also when all permits are given
    state, _ = ask(state, 12, "b")
    assert ask(state, 13, "b")[1].allowed


def test_a_dead_probe_gives_its_permit_back() -> None:
    state, _ = ask(half_open(), 10, "a")
    state, _ = ask(state, 10, "b")
    assert not ask(state, 14.999, "c")[1].allowed
    assert tick(state, now=at(15), policy=POLICY).probes == {}
    state, admission = ask(state, 15, "c")
    assert admission.is_probe
    # whoever was thought dead comes too late
    assert settle(state, 16, "a", "failure") == state


def test_enough_successes_close_it() -> None:
    state, _ = ask(half_open(), 10, "a")
    state = settle(state, 11, "a", "success")
    assert (state.state, state.successes, dict(state.probes)) == ("half_open", 1, {})
    # a success takes its permit along: one is left, not two
    state, _ = ask(state, 11, "b")
    assert not ask(state, 11, "c")[1].allowed
    assert settle(state, 12, "b", "success") == BreakerState(
        epoch=3, open_count=1, closed_at=at(12)
    )


def test_a_probe_that_says_nothing_gives_its_permit_back() -> None:
    state, _ = ask(half_open(), 10, "a")
    state = settle(state, 11, "a", "ignored")
    assert (state.state, state.successes, dict(state.probes)) == ("half_open", 0, {})


def test_the_same_result_counts_once() -> None:
    state, _ = ask(half_open(), 10, "a")
    state = settle(state, 11, "a", "success")
    assert settle(state, 11, "a", "success") == state


def test_observed_evidence_does_not_decide_about_our_probes() -> None:
    state, _ = ask(half_open(), 10, "a")
    for outcome in ("failure", "success", "ignored"):
        assert observe(state, 11, outcome) == state


def test_one_failed_probe_reopens_for_twice_as_long_up_to_the_cap() -> None:
    state, second, waits = half_open(), 10.0, []
    for _ in range(5):
        state, admission = ask(state, second, "a")
        assert admission.is_probe
        state = settle(state, second, "a", "failure")
        assert state.state == "open"
        assert state.probes == {}
        assert state.open_until is not None
        waits.append((state.open_until - at(second)).total_seconds())
        second += waits[-1]
    assert waits == [20, 40, 80, 80, 80]


def test_the_open_time_does_not_overflow() -> None:
    state = replace(half_open(), open_count=10**6)
    state, _ = ask(state, 10, "a")
    assert settle(state, 10, "a", "failure").open_until == at(90)


def test_once_closed_it_opens_for_the_plain_time_again() -> None:
    state = half_open()
    for call in ("a", "b"):
        state, _ = ask(state, 10, call)
        state = settle(state, 10, call, "success")
    for _ in range(3):
        state = observe(state, 20)
    assert state.open_until == at(30)


def test_fewer_probes_than_already_succeeded_close_it() -> None:
    state, _ = ask(half_open(), 10, "a")
    state = settle(state, 10, "a", "success")
    fewer = replace(POLICY, half_open_requests=1)
    assert tick(state, now=at(10), policy=fewer).state == "closed"


@pytest.mark.parametrize(
    ("healthy_seconds", "open_seconds"),
    [(0, 40), (9.9, 40), (10, 20), (19.9, 20), (20, 10), (10**7, 10)],
)
def test_the_doubled_open_time_is_forgotten_while_it_stays_healthy(
    healthy_seconds: float, open_seconds: float
) -> None:
    state, _ = ask(half_open(), 10, "a")
    state = settle(state, 10, "a", "failure")  # opened twice: until 30
    for call in ("b", "c"):
        state, _ = ask(state, 30, call)
        state = settle(state, 30, call, "success")
    assert (state.state, state.closed_at) == ("closed", at(30))
    for _ in range(POLICY.failure_threshold):
        state = observe(state, 30 + healthy_seconds)
    assert state.open_until == at(30 + healthy_seconds + open_seconds)


def test_a_clock_set_back_forgets_nothing() -> None:
    state = replace(CLOSED, open_count=1, closed_at=at(3600))
    for _ in range(POLICY.failure_threshold):
        state = observe(state, 0)
    assert state.open_until == at(20)


def test_slow_probes_reopen_it() -> None:
    state = half_open()
    for call, latency_ms in (("a", 1001), ("b", 1000)):
        state, _ = ask(state, 10, call)
        state = record(
            state,
            now=at(10),
            policy=RATES,
            outcome="success",
            call_id=call,
            epoch=state.epoch,
            latency_ms=latency_ms,
        )
    assert (state.state, state.opened_because) == ("open", "1 of 2 probes were slow")
    assert state.open_until == at(30)


def test_fewer_slow_probes_than_its_rate_close_it() -> None:
    state = replace(half_open(), successes=1, slow_probes=1)
    state, _ = ask(state, 10, "b")
    lenient = replace(RATES, slow_rate_percent=51)
    state = record(
        state, now=at(10), policy=lenient, outcome="success", call_id="b", epoch=2, latency_ms=1
    )
    assert state.state == "closed"


# --- forced ------------------------------------------------------------------------------------


def forced(
    mode: Forced, until: datetime | None = None, state: BreakerState = CLOSED
) -> BreakerState:
    return force(state, now=NOON, mode=mode, until=until)


def test_forced_open_refuses_until_its_end() -> None:
    state, admission = ask(forced("forced_open", at(60)), 59)
    assert (admission.allowed, admission.retry_at) == (False, at(60))
    assert admission.reason == "forced open until 12:01:00 UTC"
    assert state.state == "open"


def test_forced_open_without_an_end_stays_open() -> None:
    _, admission = ask(forced("forced_open"), 10**7)
    assert not admission.allowed
    assert admission.retry_at is None
    assert admission.reason == "forced open until a person closes it"


def test_forced_closed_lets_everything_through_whatever_fails() -> None:
    state = forced("forced_closed", state=opened())
    for _ in range(10):
        state = observe(state, 1)
    _, admission = ask(state, 1)
    assert (admission.allowed, admission.is_probe, admission.reason) == (
        True,
        False,
        "forced closed",
    )
    assert (state.state, state.failures) == ("closed", 0)


def test_a_shadow_judges_and_lets_everything_through() -> None:
    state = forced("shadow")
    for _ in range(3):
        state = observe(state, 0)
    assert (state.state, state.forced) == ("open", "shadow")
    state, admission = ask(state, 1)
    assert (admission.allowed, admission.is_probe, admission.retry_at) == (True, False, None)
    assert admission.reason.startswith("shadow: would have refused (open until")
    # it probes as it would, and refuses nobody beyond
    for call, is_probe in (("a", True), ("b", True), ("c", False)):
        state, admission = ask(state, 10, call)
        assert (admission.allowed, admission.is_probe) == (True, is_probe)
    for call in ("c", "a", "b"):
        state = settle(state, 11, call, "success")
    assert (state.state, state.forced) == ("closed", "shadow")


@pytest.mark.parametrize(
    ("mode", "start", "then"),
    [
        ("forced_open", CLOSED, "half_open"),  # it probes before it trusts
        ("forced_closed", opened(), "closed"),
        ("shadow", CLOSED, "closed"),
        ("shadow", half_open(), "half_open"),
    ],
)
@pytest.mark.parametrize("by_hand", [True, False])
def test_a_force_ends_by_time_or_by_hand(
    mode: Forced, start: BreakerState, then: str, by_hand: bool
) -> None:
    state = forced(mode, at(60), state=start)
    assert tick(state, now=at(59.9), policy=POLICY).forced == mode
    if by_hand:
        state = force(state, now=at(1), mode=None, until=None)
    else:
        state = tick(state, now=at(60), policy=POLICY)
    assert (state.state, state.forced, state.forced_until) == (then, None, None)


def test_forcing_the_same_again_only_moves_its_end() -> None:
    state = forced("forced_open", at(60))
    again = force(state, now=at(1), mode="forced_open", until=at(90))
    assert again == replace(state, forced_until=at(90), open_until=at(90))
    assert ask(again, 61)[1].retry_at == at(90)
    shadow = forced("shadow", at(60), state=opened())
    longer = force(shadow, now=at(1), mode="shadow", until=None)
    assert longer == replace(shadow, forced_until=None)
    assert force(CLOSED, now=at(1), mode=None, until=None) == CLOSED


def test_one_force_may_follow_another() -> None:
    closed = force(forced("forced_open"), now=at(1), mode="forced_closed", until=None)
    assert (closed.state, closed.forced) == ("closed", "forced_closed")
    shadow = force(forced("forced_open"), now=at(1), mode="shadow", until=at(5))
    assert (shadow.state, shadow.forced, shadow.forced_until) == ("half_open", "shadow", at(5))


def test_a_result_from_before_a_force_is_late() -> None:
    state, admission = ask(CLOSED, 0)
    state = force(forced("forced_closed"), now=at(1), mode=None, until=None)
    for _ in range(3):
        state = record(
            state,
            now=at(2),
            policy=POLICY,
            outcome="failure",
            call_id="c1",
            epoch=admission.epoch,
        )
    assert (state.state, state.failures) == ("closed", 0)


# --- storage -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state",
    [
        CLOSED,
        observe(CLOSED, 0),
        heard("fsSf"),
        heard("fsSf", policy=BY_COUNT),
        opened(),
        ask(half_open(), 10, "a")[0],
        settle(ask(half_open(), 10, "a")[0], 10, "a", "success"),
        forced("forced_open", at(60)),
        forced("shadow"),
    ],
)
def test_a_stored_state_comes_back_the_same(state: BreakerState) -> None:
    assert from_json(json.loads(json.dumps(as_json(state)))) == state


def test_a_row_without_a_word_is_closed_and_a_wrong_word_is_refused() -> None:
    assert from_json({}) == CLOSED
    assert from_json({"forced": "", "later": 1}) == CLOSED
    with pytest.raises(ValueError, match="not a breaker state: 'ajar'"):
        from_json({"state": "ajar"})
