"""The one door every action passes, when planned and again before each attempt: pure, ordered, and it says why.

The facts are plain frozen values, so that the gate knows no Incident and no Action; the verdict names every check
with its value, limit, source and when it clears. The order, which decides what an action that two gates hold does:
1. Is there anything to do: still_needed, retry_rule, retry_url.
2. Who stops it, or lets it go at a pace: kill_switch, release, campaign.
3. What a person may allow: mode, auto_retry, idempotent, confidence, track_record; whether that holds: approval;
   storm, blast_radius.
4. How often: attempts_left, backoff, run_retry_limit, vendor_retry_limit, retry_budget.
5. How many at once: in_flight_tenant, in_flight_workflow, in_flight_vendor.
6. What the vendor bears: circuit_breaker, vendor_rate.
What compensates a retry passes still_needed, 2, approval, 5 and 6: a person asked for it, once, and it is no retry.
Calls of a campaign skip storm, the hourly limits and the budget: its stages are their budget (DESIGN.md rule 14).
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from safety import gatechecks
from safety.gatechecks import Effect, Gate, storm_gate
from safety.gatefacts import (
    Backoff,
    Blast,
    Budget,
    Facts,
    InFlight,
    Needed,
    Permit,
    Record,
    Storm,
    Window,
)

__all__ = [
    "Backoff",
    "Blast",
    "Budget",
    "Effect",
    "Facts",
    "Gate",
    "InFlight",
    "Needed",
    "Permit",
    "Record",
    "Storm",
    "Verdict",
    "Window",
    "check",
    "storm_gate",
]


@dataclass(frozen=True)
class Verdict:
    """`effect` of the first gate that fails, "go" when none does."""

    effect: Effect
    gates: tuple[Gate, ...] = field(default=())

    @property
    def failed(self) -> list[Gate]:
        return [gate for gate in self.gates if not gate.passed]

    @property
    def reason(self) -> str:
        return self.failed[0].detail if self.failed else ""

    @property
    def earliest_possible_at(self) -> datetime | None:
        """When the last of the failing gates clears; None when one of them needs a person."""
        times = [gate.clears_at for gate in self.failed]
        return None if None in times else max((time for time in times if time), default=None)

    @property
    def apart(self) -> timedelta:
        """How often room for one more comes at the tightest of the failing gates."""
        return max((gate.apart for gate in self.failed), default=timedelta())

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {
                **{k: v for k, v in asdict(gate).items() if k not in ("effect", "apart")},
                "clears_at": gate.clears_at.isoformat() if gate.clears_at else None,
            }
            for gate in self.gates
        ]


def check(facts: Facts) -> Verdict:
    """Every gate in order; the first that fails decides."""
    gates = tuple(_gates(facts))
    failed = next((gate for gate in gates if not gate.passed), None)
    return Verdict(failed.effect if failed else "go", gates)


def _gates(facts: Facts) -> Iterator[Gate]:
    yield gatechecks.still_needed(facts)
    if facts.action_type != "retry":
        yield from _switches(facts)
        if facts.approval_changed is not None:
            yield gatechecks.approval(facts.approval_changed)
        yield from _bearable(facts)
        return
    yield from _to_do(facts)
    yield from _switches(facts)
    if facts.campaign:
        yield gatechecks.campaign(facts.campaign)
    yield from _allowed(facts)
    yield from _how_often(facts)
    yield from _bearable(facts)


def _bearable(facts: Facts) -> Iterator[Gate]:
    """Of whatever calls a workflow, a compensation as well: how many at once, and what its vendor bears."""
    yield from map(gatechecks.in_flight, facts.in_flight)
    if facts.breaker is not None:
        yield gatechecks.permit("circuit_breaker", facts.breaker, "circuit breaker of the vendor")
    if facts.rate is not None:
        yield gatechecks.permit("vendor_rate", facts.rate, "vendor rate limit")


def _to_do(facts: Facts) -> Iterator[Gate]:
    if facts.retry_rule is not None:
        yield gatechecks.needed("retry_rule", facts.retry_rule)
    if facts.retry_url is not None:
        yield gatechecks.needed("retry_url", facts.retry_url)


def _allowed(facts: Facts) -> Iterator[Gate]:
    yield from gatechecks.permissions(facts)
    if facts.approval_changed is not None:
        yield gatechecks.approval(facts.approval_changed)
    if facts.storm is not None and not facts.campaign:
        yield storm_gate(facts.storm, is_approved=facts.is_approved)
    if facts.blast is not None:
        yield gatechecks.blast(facts.blast)


def _switches(facts: Facts) -> Iterator[Gate]:
    held = "; ".join(facts.switches)
    value = held or facts.let_through or "off"
    yield Gate("kill_switch", not held, value, "off", "kill switches", "park", detail=held)
    if facts.release is not None:
        yield gatechecks.permit("release", facts.release, "release of what was held")


def _how_often(facts: Facts) -> Iterator[Gate]:
    if facts.attempts is not None:
        left = not facts.attempts.is_full
        yield Gate(
            "attempts_left",
            left,
            str(facts.attempts.made),
            str(facts.attempts.limit),
            "retry policy",
            "fail",
            detail="" if left else "All attempts of the retry policy are used.",
        )
    if facts.backoff is not None:
        yield gatechecks.backoff(facts.backoff)
    if facts.campaign:
        return
    if facts.run_attempts is not None:
        yield gatechecks.hourly("run_retry_limit", facts.run_attempts, "MAX_RETRIES_PER_WORKFLOW")
    if facts.vendor_attempts is not None and facts.is_unattended:
        yield gatechecks.hourly(
            "vendor_retry_limit", facts.vendor_attempts, "MAX_RETRIES_PER_VENDOR"
        )
    if facts.budget is not None:
        yield gatechecks.budget(facts.budget)
