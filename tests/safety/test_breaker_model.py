"""A breaker against a reference model that keeps every call: whatever is asked, told, crashed or restarted."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from safety.breaker_step import (
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
from safety.ruletypes import BreakerPolicy

SLOW_MS = 1000
TENTHS = 10  # the window's grain: to a tenth of its span
BASE = BreakerPolicy(
    failure_threshold=3,
    timeout_seconds=10,
    half_open_requests=2,
    probe_lease_seconds=5,
    window_seconds=20,
    window_calls=10,  # a bucket a call, so that the ring forgets one at a time
)
POLICIES = st.builds(
    BreakerPolicy,
    failure_threshold=st.just(BASE.failure_threshold),
    timeout_seconds=st.just(BASE.timeout_seconds),
    half_open_requests=st.integers(1, 3),
    probe_lease_seconds=st.just(BASE.probe_lease_seconds),
    window=st.sampled_from(("time", "count")),
    window_seconds=st.just(BASE.window_seconds),
    window_calls=st.just(BASE.window_calls),
    failure_rate_percent=st.sampled_from((40.0, 60.0, 100.0)),
    slow_call_ms=st.sampled_from((0, SLOW_MS)),
    slow_rate_percent=st.sampled_from((50.0, 100.0)),
)
OUTCOMES: st.SearchStrategy[Outcome] = st.sampled_from(("failure", "failure", "success", "ignored"))


def at(seconds: float) -> datetime:
    return datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(seconds=seconds)


@dataclass
class Call:
    second: int
    failed: bool
    slow: bool


@dataclass
class Model:
    """The breaker as simply as it can be said, in whole seconds: a list of calls, a table of leases."""

    policy: BreakerPolicy
    state: str = "closed"
    forced: str | None = None
    forced_until: int | None = None
    in_a_row: int = 0
    calls: list[Call] = field(default_factory=list)
    open_until: int | None = 0
    openings: int = 0
    closed_at: int | None = None
    epoch: int = 0
    successes: int = 0
    slow_successes: int = 0
    leases: dict[str, int] = field(default_factory=dict)

    @property
    def is_held(self) -> bool:
        return self.forced in ("forced_open", "forced_closed")

    def look(self, now: int) -> None:
        if self.forced and self.forced_until is not None and now >= self.forced_until:
            self.hold(now, None, None)
        if self.is_held:
            return
        if self.state == "open" and (self.open_until is None or now >= self.open_until):
            self.half_open()
        self.leases = {call: until for call, until in self.leases.items() if until > now}

    def allow(self, now: int, call: str) -> bool:
        self.look(now)
        would = self.state == "closed" or (self.state == "half_open" and self.lease(now, call))
        return would or self.forced == "shadow"

    def lease(self, now: int, call: str) -> bool:
        if (
            call not in self.leases
            and len(self.leases) + self.successes >= self.policy.half_open_requests
        ):
            return False
        self.leases[call] = now + self.policy.probe_lease_seconds
        return True

    def result(
        self, now: int, call: str | None, epoch: int | None, outcome: Outcome, *, slow: bool
    ) -> None:
        self.look(now)
        slow = slow and self.policy.slow_call_ms > 0
        if self.is_held or (call is not None and epoch != self.epoch):
            return
        if self.state == "half_open" and call in self.leases:
            del self.leases[call]
            self.judge_probe(now, outcome, slow=slow)
        elif self.state == "closed" and outcome != "ignored":
            self.calls.append(Call(now, outcome == "failure", slow))
            self.in_a_row = self.in_a_row + 1 if outcome == "failure" else 0
            if self.is_failing(now):
                self.open(now)

    def judge_probe(self, now: int, outcome: Outcome, *, slow: bool) -> None:
        if outcome == "failure":
            return self.open(now)
        self.successes += outcome == "success"
        self.slow_successes += outcome == "success" and slow
        if self.successes < self.policy.half_open_requests:
            return
        slow_percent = 100 * self.slow_successes / self.successes
        if self.slow_successes and slow_percent >= self.policy.slow_rate_percent:
            return self.open(now)
        self.close()
        self.closed_at = now

    def is_failing(self, now: int) -> bool:
        recent = self.recent(now)
        failed, slow = sum(call.failed for call in recent), sum(call.slow for call in recent)
        least, n_calls = self.policy.failure_threshold, len(recent)
        return (
            self.in_a_row >= least
            or (failed >= least and failed >= self.policy.failure_rate_percent / 100 * n_calls)
            or (slow >= least and slow >= self.policy.slow_rate_percent / 100 * n_calls)
        )

    def recent(self, now: int) -> Sequence[Call]:
        if self.policy.window == "count":
            return self.calls[-self.policy.window_calls :]
        grain = self.policy.window_seconds // TENTHS
        since = (now // grain - TENTHS + 1) * grain
        return [call for call in self.calls if call.second >= since]

    def open(self, now: int) -> None:
        healthy = 0 if self.closed_at is None else now - self.closed_at
        doublings = max(0, min(self.openings, 4) - healthy // self.policy.timeout_seconds)
        self.openings, self.closed_at = doublings + 1, None
        self.open_until = now + self.policy.timeout_seconds * min(8, 2**doublings)
        self.move("open")

    def half_open(self) -> None:
        self.successes = self.slow_successes = 0
        self.move("half_open")

    def close(self) -> None:
        self.in_a_row, self.calls = 0, []
        self.move("closed")

    def move(self, state: str) -> None:
        self.state, self.leases = state, {}
        self.epoch += 1

    def hold(self, now: int, mode: Forced | None, until: int | None) -> None:
        if mode != self.forced:
            was_held, self.forced = self.is_held, mode
            if was_held and self.state == "open":
                self.half_open()
            elif was_held:
                self.close_clean()
            if mode == "forced_open":
                self.openings, self.closed_at = self.openings + 1, None
                self.move("open")
            if mode == "forced_closed":
                self.close_clean()
        self.forced_until = until if mode else None
        if mode == "forced_open":
            self.open_until = until

    def close_clean(self) -> None:
        self.close()
        self.openings, self.closed_at = 0, None


class BreakerFollowsItsModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.policy, self.model = BASE, Model(BASE)
        self.breaker = BreakerState()
        self.now = 0
        self.calls: dict[str, int] = {}
        self.n_calls = 0

    @initialize(policy=POLICIES)
    def begin(self, policy: BreakerPolicy) -> None:
        self.policy, self.model = policy, Model(policy)

    @rule(seconds=st.integers(0, 15))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def beat(self) -> None:
        self.model.look(self.now)
        self.breaker = tick(self.breaker, now=at(self.now), policy=self.policy)

    @rule()
    def start(self) -> None:
        self.n_calls += 1
        self.ask(f"call-{self.n_calls}")

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def ask_again(self, data: Any) -> None:
        """Its worker died before it sent anything; the next one asks for the same call."""
        self.ask(data.draw(st.sampled_from(sorted(self.calls))))

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), outcome=OUTCOMES, slow=st.booleans())
    def finish(self, data: Any, outcome: Outcome, slow: bool) -> None:
        call = data.draw(st.sampled_from(sorted(self.calls)))
        self.tell(call, self.calls.pop(call), outcome, slow=slow)

    @rule(outcome=OUTCOMES)
    def observe(self, outcome: Outcome) -> None:
        self.tell(None, None, outcome, slow=False)

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def crash(self, data: Any) -> None:
        """The worker dies: no result will ever come."""
        self.calls.pop(data.draw(st.sampled_from(sorted(self.calls))))

    @rule(
        mode=st.sampled_from(("forced_open", "forced_closed", "shadow", None)),
        seconds=st.none() | st.integers(1, 30),
    )
    def hold(self, mode: Forced | None, seconds: int | None) -> None:
        until = None if seconds is None else self.now + seconds
        self.model.hold(self.now, mode, until)
        self.breaker = force(
            self.breaker,
            now=at(self.now),
            mode=mode,
            until=None if until is None else at(until),
        )

    @rule()
    def restart(self) -> None:
        self.breaker = from_json(json.loads(json.dumps(as_json(self.breaker))))

    def ask(self, call: str) -> None:
        allowed = self.model.allow(self.now, call)
        self.breaker, admission = admit(
            self.breaker, now=at(self.now), policy=self.policy, call_id=call
        )
        assert (admission.allowed, admission.epoch) == (allowed, self.model.epoch)
        if allowed:
            self.calls[call] = admission.epoch
        else:
            assert admission.retry_at is None or admission.retry_at > at(self.now)

    def tell(self, call: str | None, epoch: int | None, outcome: Outcome, *, slow: bool) -> None:
        self.model.result(self.now, call, epoch, outcome, slow=slow)
        self.breaker = record(
            self.breaker,
            now=at(self.now),
            policy=self.policy,
            outcome=outcome,
            call_id=call,
            epoch=epoch,
            latency_ms=SLOW_MS + slow,
        )

    @invariant()
    def same(self) -> None:
        model, breaker = self.model, self.breaker
        assert (breaker.state, breaker.epoch) == (model.state, model.epoch)
        assert breaker.forced == model.forced
        if model.state == "open":
            expected = None if model.open_until is None else at(model.open_until)
            assert breaker.open_until == expected

    @invariant()
    def never_more_probes_than_permits(self) -> None:
        live = [until for until in self.breaker.probes.values() if until > at(self.now)]
        assert self.breaker.state == "half_open" or not live
        assert len(live) + self.breaker.successes <= self.policy.half_open_requests

    @invariant()
    def its_window_costs_the_same_at_any_traffic(self) -> None:
        assert len(self.breaker.window.buckets) <= TENTHS


def follow(*, n_walks: int, n_steps: int) -> None:
    size = settings(max_examples=n_walks, stateful_step_count=n_steps, deadline=None)
    run_state_machine_as_test(BreakerFollowsItsModel, settings=size)


def test_the_breaker_follows_its_model() -> None:
    follow(n_walks=40, n_steps=30)  # 500 walks of 50 steps: tests/faults/test_breaker.py
