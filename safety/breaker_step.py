"""The only rules by which one circuit breaker moves: pure steps, no clock, no rows.

How a state is kept and locked is safety.breaker's business. The steps:
1. CLOSED opens at `failure_threshold` failures in a row, and when that many failures, or slow calls, are in the
   window and make up `failure_rate_percent`, or `slow_rate_percent`, of its calls. A success starts the row over.
2. OPEN refuses until `open_until`, then becomes HALF_OPEN, asked or not (`tick`).
3. HALF_OPEN leases exactly `half_open_requests` probes. That many successes close it, unless they were slow; one
   failure reopens it for twice as long, up to `open_growth_cap` times `timeout_seconds`. Each `timeout_seconds`
   that it then stays closed forgets one doubling.
4. Every move starts a new epoch; a result that carries an older one changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from safety import breaker_window
from safety.breaker_window import Window
from safety.ruletypes import BreakerPolicy

Condition = Literal["closed", "open", "half_open"]
Forced = Literal["forced_open", "forced_closed", "shadow"]
Outcome = Literal["failure", "success", "ignored"]

OPEN_JITTER: Final = 0.1  # an open time is up to a tenth longer, so that breakers part company

_NO_PROBES: Final[Mapping[str, datetime]] = MappingProxyType({})


@dataclass(frozen=True)
class BreakerState:
    state: Condition = "closed"
    failures: int = 0  # in a row, while closed
    epoch: int = 0
    opened_at: datetime | None = None
    open_until: datetime | None = None  # None while open: until a person says otherwise
    open_count: int = 0  # openings since it last closed for long
    opened_because: str = ""
    closed_at: datetime | None = None  # by its own probes
    probes: Mapping[str, datetime] = field(default_factory=lambda: _NO_PROBES)  # call -> lease end
    successes: int = 0  # of probes, while half-open
    slow_probes: int = 0  # among those
    window: Window = field(default_factory=Window)  # recent calls, while closed
    forced: Forced | None = None
    forced_until: datetime | None = None

    @property
    def is_held(self) -> bool:
        """A person holds it open or closed: evidence waits. (A shadow goes on judging.)"""
        return self.forced in ("forced_open", "forced_closed")


@dataclass(frozen=True)
class Admission:
    allowed: bool
    epoch: int
    is_probe: bool
    retry_at: datetime | None  # when asking again may help, if that is known
    reason: str


def admit(
    state: BreakerState, *, now: datetime, policy: BreakerPolicy, call_id: str
) -> tuple[BreakerState, Admission]:
    """May this call go out? The state to store carries the probe's lease."""
    state = tick(state, now=now, policy=policy)
    if state.state == "half_open":
        state, admission = _admit_probe(state, now=now, policy=policy, call_id=call_id)
    elif state.state == "open":
        admission = _refusal(state, state.open_until, _open_reason(state))
    else:
        reason = "forced closed" if state.forced == "forced_closed" else "closed"
        admission = Admission(True, state.epoch, False, None, reason)
    if state.forced == "shadow" and not admission.allowed:
        reason = f"shadow: would have refused ({admission.reason})"
        admission = Admission(True, state.epoch, False, None, reason)
    return state, admission


def record(
    state: BreakerState,
    *,
    now: datetime,
    policy: BreakerPolicy,
    outcome: Outcome,
    call_id: str | None,
    epoch: int | None,
    latency_ms: int | None = None,
    jitter: float = 0.0,
) -> BreakerState:
    """What became of a call. Without `call_id` it was observed, not made by us: such evidence
    counts while closed and decides nothing about our own probes. `jitter` in [0, 1)."""
    is_slow = latency_ms is not None and 0 < policy.slow_call_ms < latency_ms
    state = tick(state, now=now, policy=policy)
    if state.is_held or (call_id is not None and epoch != state.epoch):
        return state
    if state.state == "half_open" and call_id in state.probes:
        state = _probed(state, call_id, outcome, is_slow=is_slow)
        if outcome == "failure":
            return _open(state, "A probe failed", now=now, policy=policy, jitter=jitter)
        return _settle_half_open(state, now=now, policy=policy, jitter=jitter)
    if state.state == "closed" and outcome != "ignored":
        state = _counted(
            state, now=now, policy=policy, is_failure=outcome == "failure", is_slow=is_slow
        )
        fault = _fault(state, now=now, policy=policy)
        return _open(state, fault, now=now, policy=policy, jitter=jitter) if fault else state
    return state


def tick(state: BreakerState, *, now: datetime, policy: BreakerPolicy) -> BreakerState:
    """What time alone changes: a force expires, OPEN becomes HALF_OPEN, dead probes give back."""
    if state.forced is not None and state.forced_until is not None and now >= state.forced_until:
        state = force(state, now=now, mode=None, until=None)
    if state.is_held:
        return state
    if state.state == "open" and (state.open_until is None or now >= state.open_until):
        return _half_open(state)
    if state.state == "half_open":
        return _settle_half_open(state, now=now, policy=policy)
    return state


def force(
    state: BreakerState, *, now: datetime, mode: Forced | None, until: datetime | None
) -> BreakerState:
    """A person takes over (`until` None: no end) or hands back with mode None.

    Handed back from forced open it probes before it trusts; from forced closed it starts clean.
    """
    if mode == state.forced:
        return _until(state, until)
    if state.is_held:
        state = _half_open(state) if state.state == "open" else _closed(state)
    if mode == "forced_open":
        state = _opened(state, now=now, until=None)
    if mode == "forced_closed":
        state = _closed(state)
    return _until(replace(state, forced=mode), until)


def as_json(state: BreakerState) -> dict[str, Any]:
    return {
        "state": state.state,
        "failures": state.failures,
        "epoch": state.epoch,
        "opened_at": _iso(state.opened_at),
        "open_until": _iso(state.open_until),
        "open_count": state.open_count,
        "opened_because": state.opened_because,
        "closed_at": _iso(state.closed_at),
        "probes": {call: until.isoformat() for call, until in state.probes.items()},
        "successes": state.successes,
        "slow_probes": state.slow_probes,
        "window": breaker_window.as_json(state.window),
        "forced": state.forced,
        "forced_until": _iso(state.forced_until),
    }


def from_json(stored: Mapping[str, Any]) -> BreakerState:
    """The state that `as_json` wrote; keys it does not have keep their defaults."""
    known = {name: stored[name] for name in BreakerState.__dataclass_fields__ if name in stored}
    for name in ("opened_at", "open_until", "closed_at", "forced_until"):
        known[name] = datetime.fromisoformat(stored[name]) if stored.get(name) else None
    leases = stored.get("probes", {})
    known["probes"] = _frozen({call: datetime.fromisoformat(at) for call, at in leases.items()})
    known["window"] = breaker_window.from_json(stored.get("window", {}))
    known["forced"] = stored.get("forced") or None
    if known.get("state", "closed") not in get_args(Condition):
        raise ValueError(f"not a breaker state: {known['state']!r}")
    return BreakerState(**known)


def _admit_probe(
    state: BreakerState, *, now: datetime, policy: BreakerPolicy, call_id: str
) -> tuple[BreakerState, Admission]:
    permits = policy.half_open_requests
    # A call that already holds a permit asks again after its worker died: same permit, new lease.
    if call_id not in state.probes and len(state.probes) + state.successes >= permits:
        reason = f"half-open: all {permits} probes are given"
        return state, _refusal(state, min(state.probes.values()), reason)
    leased_until = now + timedelta(seconds=policy.probe_lease_seconds)
    state = replace(state, probes=_frozen({**state.probes, call_id: leased_until}))
    number = len(state.probes) + state.successes
    reason = f"half-open: probe {number} of {permits}"
    return state, Admission(True, state.epoch, True, None, reason)


def _refusal(state: BreakerState, retry_at: datetime | None, reason: str) -> Admission:
    return Admission(False, state.epoch, False, retry_at, reason)


def _open_reason(state: BreakerState) -> str:
    name = "forced open" if state.forced == "forced_open" else "open"
    if state.open_until is None:
        return f"{name} until a person closes it"
    return f"{name} until {state.open_until:%H:%M:%S} UTC"


def _probed(
    state: BreakerState, call_id: str | None, outcome: Outcome, *, is_slow: bool
) -> BreakerState:
    """The probe gives its permit back; its success takes it along."""
    is_success = outcome == "success"
    return replace(
        state,
        probes=_frozen({call: until for call, until in state.probes.items() if call != call_id}),
        successes=state.successes + is_success,
        slow_probes=state.slow_probes + (is_success and is_slow),
    )


def _counted(
    state: BreakerState, *, now: datetime, policy: BreakerPolicy, is_failure: bool, is_slow: bool
) -> BreakerState:
    window = breaker_window.add(
        state.window, now=now, policy=policy, is_failure=is_failure, is_slow=is_slow
    )
    return replace(state, failures=state.failures + 1 if is_failure else 0, window=window)


def _fault(state: BreakerState, *, now: datetime, policy: BreakerPolicy) -> str:
    """Why it must open; nothing when it need not."""
    if state.failures >= policy.failure_threshold:
        return f"{state.failures} failures in a row"
    recent = breaker_window.tally(state.window, now=now, policy=policy)
    fails, slow = policy.failure_rate_percent, policy.slow_rate_percent
    if recent.failures >= policy.failure_threshold and recent.failure_percent >= fails:
        return f"{recent.failures} of the last {recent.calls} calls failed"
    if recent.slow >= policy.failure_threshold and recent.slow_percent >= slow:
        return f"{recent.slow} of the last {recent.calls} calls were slow"
    return ""


def _settle_half_open(
    state: BreakerState, *, now: datetime, policy: BreakerPolicy, jitter: float = 0.0
) -> BreakerState:
    # >=: the number of probes may have been lowered meanwhile; waiting for more would never end.
    if state.successes >= policy.half_open_requests:
        slow, all_of_them = state.slow_probes, state.successes
        if slow and 100 * slow >= policy.slow_rate_percent * all_of_them:
            fault = f"{slow} of {all_of_them} probes were slow"
            return _open(state, fault, now=now, policy=policy, jitter=jitter)
        return replace(_closed(state), open_count=state.open_count, closed_at=now)
    live = {call: until for call, until in state.probes.items() if until > now}
    return state if len(live) == len(state.probes) else replace(state, probes=_frozen(live))


def _open(
    state: BreakerState, because: str, *, now: datetime, policy: BreakerPolicy, jitter: float
) -> BreakerState:
    doublings = _doublings(state, now=now, policy=policy)
    growth = min(2**doublings, policy.open_growth_cap)
    seconds = policy.timeout_seconds * growth * (1 + OPEN_JITTER * jitter)
    state = replace(state, open_count=doublings)
    opened = _opened(state, now=now, until=now + timedelta(seconds=seconds))
    return replace(opened, opened_because=because)


def _doublings(state: BreakerState, *, now: datetime, policy: BreakerPolicy) -> int:
    """How often the open time has doubled; beyond the cap there is nothing to forget one by one."""
    doublings = min(state.open_count, policy.open_growth_cap.bit_length())
    if state.closed_at is None:
        return doublings
    healthy_seconds = (now - state.closed_at).total_seconds()
    return max(0, doublings - max(0, int(healthy_seconds // policy.timeout_seconds)))


def _opened(state: BreakerState, *, now: datetime, until: datetime | None) -> BreakerState:
    return BreakerState(
        state="open",
        epoch=state.epoch + 1,
        opened_at=now,
        open_until=until,
        open_count=state.open_count + 1,
        forced=state.forced,
        forced_until=state.forced_until,
    )


def _until(state: BreakerState, until: datetime | None) -> BreakerState:
    if state.forced == "forced_open":
        return replace(state, forced_until=until, open_until=until)
    return replace(state, forced_until=until if state.forced else None)


def _half_open(state: BreakerState) -> BreakerState:
    return replace(
        state,
        state="half_open",
        epoch=state.epoch + 1,
        open_until=None,
        probes=_NO_PROBES,
        successes=0,
        slow_probes=0,
    )


def _closed(state: BreakerState) -> BreakerState:
    return BreakerState(epoch=state.epoch + 1, forced=state.forced, forced_until=state.forced_until)


def _frozen(probes: dict[str, datetime]) -> Mapping[str, datetime]:
    return MappingProxyType(probes)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
