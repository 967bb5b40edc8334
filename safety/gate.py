"""The one door every action passes, when planned and again before each attempt: pure, ordered, and it says why.

The facts are plain frozen values, so that the gate knows no Incident and no Action; the verdict names every check
with its value, limit, source and when it clears.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

Effect = Literal["go", "park", "wait", "approve", "skip", "fail"]
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Gate:
    """One check. `effect` is what its failure means for the action."""

    name: str
    passed: bool
    value: str
    limit: str
    source: str
    effect: Effect
    clears_at: datetime | None = None
    detail: str = ""


@dataclass(frozen=True)
class Permit:
    """What the breaker or the rate bucket answered."""

    allowed: bool
    clears_at: datetime | None
    reason: str


@dataclass(frozen=True)
class Window:
    """Attempts counted in the last hour, against their limit."""

    made: int
    limit: int
    oldest_at: datetime | None = None

    @property
    def is_full(self) -> bool:
        return self.made >= self.limit


@dataclass(frozen=True)
class Storm:
    """Runs that an incident has not recovered, against how many are retried without a person."""

    hurt: int
    limit: int


@dataclass(frozen=True)
class Facts:
    """Everything the gates look at. None means: not asked at this moment, so no such gate."""

    action_type: str
    switches: Sequence[str] = ()
    is_approved: bool = False
    is_unattended: bool = True
    auto_retry_enabled: bool = True
    idempotent: str = "no"
    confidence: float = 1.0
    is_certain: bool = True
    confidence_threshold: float = 0.7
    is_still_needed: bool = True
    storm: Storm | None = None
    attempts: Window | None = None  # of this action, for life
    run_attempts: Window | None = None
    vendor_attempts: Window | None = None
    breaker: Permit | None = None
    rate: Permit | None = None


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

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {
                **{k: v for k, v in asdict(gate).items() if k != "effect"},
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
    yield _needed(facts)
    yield _switches(facts)
    if facts.action_type == "retry":
        yield from _permissions(facts)
        if facts.storm is not None:
            yield storm_gate(facts.storm, is_approved=facts.is_approved)
        yield from _budgets(facts)
    if facts.breaker is not None:
        yield _permit("circuit_breaker", facts.breaker, "circuit breaker of the vendor")
    if facts.rate is not None:
        yield _permit("vendor_rate", facts.rate, "vendor rate limit")


def _needed(facts: Facts) -> Gate:
    return Gate(
        "still_needed",
        facts.is_still_needed,
        "yes" if facts.is_still_needed else "no",
        "yes",
        "recovery ledger",
        "skip",
        detail=""
        if facts.is_still_needed
        else "The run has recovered, or its incident is ignored.",
    )


def _switches(facts: Facts) -> Gate:
    held = "; ".join(facts.switches)
    return Gate("kill_switch", not held, held or "off", "off", "kill switches", "park", detail=held)


def _permissions(facts: Facts) -> Iterator[Gate]:
    """What a person may allow: with an approval all of these pass."""
    checks = (
        (
            "auto_retry",
            facts.auto_retry_enabled,
            "on" if facts.auto_retry_enabled else "off",
            "on",
            "ENABLE_AUTO_RETRY",
            "Unattended retries are switched off.",
        ),
        (
            "idempotent",
            facts.idempotent in ("yes", "key"),
            facts.idempotent,
            "yes or key",
            "the workflow's declaration",
            "The workflow does not declare that a second call is harmless.",
        ),
        (
            "confidence",
            facts.is_certain or facts.confidence >= facts.confidence_threshold,
            "certain" if facts.is_certain else f"{facts.confidence:.2f}",
            f"{facts.confidence_threshold:.2f}",
            "AI_CONFIDENCE_THRESHOLD",
            "The classification is a guess below the threshold.",
        ),
    )
    for name, passes, value, limit, source, why in checks:
        approved = facts.is_approved and not passes
        yield Gate(
            name,
            passes or approved,
            f"{value} (approved)" if approved else value,
            limit,
            source,
            "approve",
            detail="" if passes or approved else why,
        )


def storm_gate(storm: Storm, *, is_approved: bool = False) -> Gate:
    """Storms pay once: the runs beyond the limit wait for a person, those before keep their plans."""
    passes = storm.hurt <= storm.limit or is_approved
    value = f"{storm.hurt:,} not recovered"
    why = f"More than {storm.limit:,} runs are hurt: those beyond wait for a person."
    return Gate(
        "storm",
        passes,
        f"{value} (approved)" if storm.hurt > storm.limit and is_approved else value,
        f"{storm.limit:,}",
        "storm limit of the tenant",
        "approve",
        detail="" if passes else why,
    )


def _budgets(facts: Facts) -> Iterator[Gate]:
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
    if facts.run_attempts is not None:
        yield _hourly("run_retry_limit", facts.run_attempts, "MAX_RETRIES_PER_WORKFLOW")
    if facts.vendor_attempts is not None and facts.is_unattended:
        yield _hourly("vendor_retry_limit", facts.vendor_attempts, "MAX_RETRIES_PER_VENDOR")


def _hourly(name: str, window: Window, source: str) -> Gate:
    passes = not window.is_full
    return Gate(
        name,
        passes,
        f"{window.made} in the last hour",
        str(window.limit),
        source,
        "wait",
        clears_at=None if passes or window.oldest_at is None else window.oldest_at + HOUR,
        detail="" if passes else f"{window.made} attempts in the last hour reach the limit.",
    )


def _permit(name: str, permit: Permit, source: str) -> Gate:
    return Gate(
        name,
        permit.allowed,
        permit.reason,
        "allowed",
        source,
        "wait",
        clears_at=permit.clears_at,
        detail="" if permit.allowed else f"{source[0].upper()}{source[1:]}: {permit.reason}.",
    )
