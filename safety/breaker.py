"""The only writer of circuit breakers: the pure steps of `breaker_step`, applied to a locked row."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from awfdrs_site.lib import correlation
from safety import breaker_step, breaker_window, rules
from safety.breaker_step import Admission, BreakerState, Outcome
from safety.breaker_window import Tally
from safety.effective import Effective, Override
from safety.models import CircuitBreaker
from safety.ruletypes import BreakerPolicy
from safety.states import BreakerStatus
from tenants import journal
from tenants.journal import SYSTEM, Actor
from tenants.models import Vendor

# Only these say something about the vendor; a declined card or a bad token does not (DESIGN.md rule 14).
COUNTED_CATEGORIES = frozenset(
    {"transient_error", "vendor_error", "infrastructure_error", "rate_limit"}
)
LOCK = """
select * from safety_circuitbreaker where tenant_id = %(tenant)s and vendor_id = %(vendor)s for update
"""
_STORED = (
    "state",
    "failures",
    "epoch",
    "open_count",
    "opened_because",
    "successes",
    "slow_probes",
    "probes",
    "window",
    "opened_at",
    "open_until",
    "closed_at",
    "forced",
    "forced_until",
    "forced_reason",
    "version",
)
STORE = f"""
update safety_circuitbreaker set {", ".join(f'"{name}" = %({name})s' for name in _STORED)}
where tenant_id = %(tenant)s and id = %(id)s
"""  # noqa: S608  # of constants
_VERBS = {
    BreakerStatus.OPEN: "breaker_opened",
    BreakerStatus.HALF_OPEN: "breaker_half_opened",
    BreakerStatus.CLOSED: "breaker_closed",
}


@dataclass(frozen=True)
class Watched:
    """A vendor's breaker, its row held until the transaction ends, and the rules in force for the vendor."""

    row: CircuitBreaker
    in_force: Effective


@dataclass(frozen=True)
class Heard:
    """What became of one call: observed, or our own with its id, epoch, latency and the work it was part of."""

    outcome: Outcome
    call_id: str | None = None
    epoch: int | None = None
    latency_ms: int | None = None
    correlation_id: str = ""


@dataclass
class Admitted:
    """An admission not stored yet: `keep` it once every later gate has passed."""

    row: CircuitBreaker
    state: BreakerState
    admission: Admission
    in_force: Effective  # the vendor's rules as the breaker saw them, for the gates after it

    def keep(self, *, now: datetime) -> None:
        """Store the probe's lease (and what time alone has changed)."""
        _store(self.row, self.state, now=now)


def policy_for(vendor: Vendor) -> BreakerPolicy:
    return rules.effective_of_vendor(vendor).breaker


def admit(vendor: Vendor, *, call_id: str, now: datetime) -> Admitted:
    """Ask for a call, holding the breaker's row until the transaction ends."""
    return ask(watch(vendor), call_id=call_id, now=now)


def watch(vendor: Vendor, *, known: Sequence[Override] | None = None) -> Watched:
    """Hold the breaker's row, for as many calls as ask. Whoever watches several goes by vendor id."""
    return Watched(_locked(vendor), rules.effective_of_vendor(vendor, known=known))


def ask(watched: Watched, *, call_id: str, now: datetime) -> Admitted:
    """Ask for a call as all those before have left the breaker that were kept."""
    row, in_force = watched.row, watched.in_force
    state, admission = breaker_step.admit(
        state_of(row), now=now, policy=in_force.breaker, call_id=call_id
    )
    return Admitted(row, state, admission, in_force)


def peek(vendor: Vendor, *, call_id: str, now: datetime) -> Admitted:
    """What `admit` would answer: no row is locked, no probe leased."""
    mine = CircuitBreaker.objects.for_tenant(vendor.tenant_id).filter(vendor_id=vendor.id)
    row = mine.first() or CircuitBreaker(tenant_id=vendor.tenant_id, vendor_id=vendor.id)
    return ask(Watched(row, rules.effective_of_vendor(vendor)), call_id=call_id, now=now)


def record(
    vendor: Vendor,
    outcomes: Sequence[Outcome],
    *,
    now: datetime,
    call_id: str | None = None,
    epoch: int | None = None,
    cause: str = "",
) -> None:
    """Feed outcomes in their order: observed ones without `call_id`, those of a call of ours with id and epoch."""
    heard = [Heard(outcome, call_id, epoch) for outcome in outcomes]
    hear(watch(vendor), heard, now=now, cause=cause)


def hear(watched: Watched, heard: Sequence[Heard], *, now: datetime, cause: str) -> None:
    """The same of several calls; each move is journalled with the work of the call that made it."""
    row, policy = watched.row, watched.in_force.breaker
    state = state_of(row)
    for one in heard:
        before, state = state, _after(state, one, now=now, policy=policy)
        if state.state != before.state:
            with correlation.correlated(one.correlation_id or correlation.current()):
                _store(row, state, now=now, cause=cause)
    _store(row, state, now=now, cause=cause)


def _after(
    state: BreakerState, heard: Heard, *, now: datetime, policy: BreakerPolicy
) -> BreakerState:
    return breaker_step.record(
        state,
        now=now,
        policy=policy,
        outcome=heard.outcome,
        call_id=heard.call_id,
        epoch=heard.epoch,
        latency_ms=heard.latency_ms,
        jitter=random.random() * breaker_step.OPEN_JITTER,  # noqa: S311  # spreads re-openings
    )


def tick(breaker: CircuitBreaker, *, now: datetime) -> None:
    """What time alone changes, without traffic: OPEN → HALF_OPEN, expired forces, dead probes."""
    row = _locked(breaker.vendor)
    state = breaker_step.tick(state_of(row), now=now, policy=policy_for(breaker.vendor))
    _store(row, state, now=now)


def force(
    vendor: Vendor,
    *,
    mode: breaker_step.Forced | None,
    reason: str,
    until: datetime | None,
    by: Actor,
    now: datetime,
) -> CircuitBreaker:
    """A person takes over (mode) or hands back (None). Idempotent."""
    row = _locked(vendor)
    row.forced_reason = reason
    state = breaker_step.force(state_of(row), now=now, mode=mode, until=until)
    _store(
        row, state, now=now, cause=reason, by=by, verb="breaker_forced" if mode else "breaker_freed"
    )
    return row


def recent(row: CircuitBreaker, *, policy: BreakerPolicy, now: datetime) -> Tally:
    """What the breaker's window holds, for people to see; empty unless it is closed."""
    return breaker_window.tally(breaker_window.from_json(row.window), now=now, policy=policy)


def state_of(row: CircuitBreaker) -> BreakerState:
    return BreakerState(
        state=row.state,  # type: ignore[arg-type]  # the check constraint holds it
        failures=row.failures,
        epoch=row.epoch,
        opened_at=row.opened_at,
        open_until=row.open_until,
        open_count=row.open_count,
        opened_because=row.opened_because,
        closed_at=row.closed_at,
        probes={call: datetime.fromisoformat(until) for call, until in row.probes.items()},
        successes=row.successes,
        slow_probes=row.slow_probes,
        window=breaker_window.from_json(row.window),
        forced=row.forced or None,  # type: ignore[arg-type]
        forced_until=row.forced_until,
    )


def put(row: CircuitBreaker, state: BreakerState) -> None:
    """The state on the row, in memory."""
    for name, value in breaker_step.as_json(state).items():
        setattr(row, name, value)
    for name in ("opened_at", "open_until", "closed_at", "forced_until"):
        setattr(row, name, getattr(state, name))
    row.forced = state.forced or ""


def _locked(vendor: Vendor) -> CircuitBreaker:
    mine = CircuitBreaker.objects.for_tenant(vendor.tenant_id)
    asked = mine.raw(LOCK, {"tenant": vendor.tenant_id, "vendor": vendor.id})
    found: list[CircuitBreaker] = list(asked)
    if not found:
        CircuitBreaker.objects.bulk_create(
            [CircuitBreaker(tenant_id=vendor.tenant_id, vendor_id=vendor.id)], ignore_conflicts=True
        )
        found = list(mine.raw(LOCK, {"tenant": vendor.tenant_id, "vendor": vendor.id}))
    return found[0]


def _store(
    row: CircuitBreaker,
    state: BreakerState,
    *,
    now: datetime,
    cause: str = "",
    by: Actor = SYSTEM,
    verb: str = "",
) -> None:
    before = state_of(row)
    if state == before and not verb:
        return
    put(row, state)
    row.version += 1
    stored = {name: getattr(row, name) for name in _STORED}
    for name in ("probes", "window"):
        stored[name] = json.dumps(stored[name])
    with connection.cursor() as cursor:
        cursor.execute(STORE, {**stored, "tenant": row.tenant_id, "id": row.pk})
    if verb or state.state != before.state:
        journal.record(
            row,
            verb or _VERBS[BreakerStatus(state.state)],
            by=by,
            at=now,
            vendor=str(row.vendor),
            before=before.state,
            after=state.state,
            open_until=state.open_until.isoformat() if state.open_until else None,
            cause=cause,
            because=state.opened_because,
        )
