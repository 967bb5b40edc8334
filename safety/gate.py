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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal

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

Effect = Literal["go", "park", "wait", "approve", "skip", "fail"]
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
# What a campaign's state means for its calls.
CAMPAIGNS: Final[Mapping[str, tuple[bool, Effect]]] = {
    "running": (True, "park"),
    "planned": (False, "park"),
    "paused": (False, "park"),
    "completed": (False, "skip"),
    "aborted": (False, "skip"),
}


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
    apart: timedelta = timedelta()  # room for one more comes this often, however many wait for it


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
    yield _still_needed(facts)
    if facts.action_type != "retry":
        yield from _switches(facts)
        if facts.approval_changed is not None:
            yield _approval(facts.approval_changed)
        yield from _bearable(facts)
        return
    yield from _to_do(facts)
    yield from _switches(facts)
    if facts.campaign:
        yield _campaign(facts.campaign)
    yield from _allowed(facts)
    yield from _how_often(facts)
    yield from _bearable(facts)


def _bearable(facts: Facts) -> Iterator[Gate]:
    """Of whatever calls a workflow, a compensation as well: how many at once, and what its vendor bears."""
    yield from map(_in_flight, facts.in_flight)
    if facts.breaker is not None:
        yield _permit("circuit_breaker", facts.breaker, "circuit breaker of the vendor")
    if facts.rate is not None:
        yield _permit("vendor_rate", facts.rate, "vendor rate limit")


def _to_do(facts: Facts) -> Iterator[Gate]:
    if facts.retry_rule is not None:
        yield _needed("retry_rule", facts.retry_rule)
    if facts.retry_url is not None:
        yield _needed("retry_url", facts.retry_url)


def _allowed(facts: Facts) -> Iterator[Gate]:
    yield from _permissions(facts)
    if facts.approval_changed is not None:
        yield _approval(facts.approval_changed)
    if facts.storm is not None and not facts.campaign:
        yield storm_gate(facts.storm, is_approved=facts.is_approved)
    if facts.blast is not None:
        yield _blast(facts.blast)


def _needed(name: str, needed: Needed) -> Gate:
    detail = "" if needed.is_met else needed.detail
    return Gate(
        name, needed.is_met, needed.value, needed.limit, needed.source, "skip", detail=detail
    )


def _campaign(state: str) -> Gate:
    passes, effect = CAMPAIGNS[state]
    detail = "" if passes else f"Its campaign is {state}."
    return Gate("campaign", passes, state, "running", "the campaign", effect, detail=detail)


def _approval(changed: Mapping[str, Sequence[Any]]) -> Gate:
    """What was allowed is what was shown: an edit afterwards asks again, and says what differs."""
    diff = "; ".join(
        f"{name} was approved as {_shown(approved)} and is {_shown(now)} now"
        for name, (approved, now) in changed.items()
    )
    value = "edited since" if changed else "as approved"
    detail = f"{diff[:1].upper()}{diff[1:]}." if changed else ""
    return Gate("approval", not changed, value, "as approved", "approval", "approve", detail=detail)


def _shown(value: Any) -> str:
    return str(value) if value not in ("", None) else "nothing"


def _still_needed(facts: Facts) -> Gate:
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


def _switches(facts: Facts) -> Iterator[Gate]:
    held = "; ".join(facts.switches)
    value = held or facts.let_through or "off"
    yield Gate("kill_switch", not held, value, "off", "kill switches", "park", detail=held)
    if facts.release is not None:
        yield _permit("release", facts.release, "release of what was held")


def _permissions(facts: Facts) -> Iterator[Gate]:
    """What a person may allow: with an approval all of these pass."""
    checks: tuple[tuple[str, bool, str, str, str, str], ...] = (
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
    if facts.mode != "auto":
        asks = "The rules want a person to allow it."
        checks = (("mode", False, facts.mode, "auto", "the rules", asks), *checks)
    if facts.record is not None:
        checks = (*checks, _track_record(facts.record, facts.confidence_threshold))
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


def _track_record(record: Record, threshold: float) -> tuple[str, bool, str, str, str, str]:
    """Five of five give a bound below most thresholds: where nothing ever failed, few outcomes ask nobody."""
    worked = f"{record.worked} of {record.n} times"
    sure = f"at least {record.lower:.0%} of the time, and {threshold:.0%} are asked for"
    why = f"Retries like it worked {worked}: {sure}."
    value = f"{record.lower:.2f} ({worked})"
    is_enough = record.lower >= threshold or record.worked == record.n
    return ("track_record", is_enough, value, f"{threshold:.2f}", "AI_CONFIDENCE_THRESHOLD", why)


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


def _blast(blast: Blast) -> Gate:
    """A rule that goes beyond its radius stands still as a whole: what it sets off needs a person then."""
    passes = not blast.paused and not blast.is_full
    begun = f"{blast.actions} actions, {blast.runs} runs in the last hour"
    limits = [
        f"{most} {what}"
        for most, what in ((blast.max_actions, "actions"), (blast.max_runs, "runs"))
        if most
    ]
    return Gate(
        "blast_radius",
        passes,
        "paused" if blast.paused else begun if limits else "not counted",
        ", ".join(limits) or "none",
        f"rule {blast.rule}",
        "approve",
        detail="" if passes else f"{blast.paused or blast.why} A person must allow more.",
    )


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
        yield _backoff(facts.backoff)
    if facts.campaign:
        return
    if facts.run_attempts is not None:
        yield _hourly("run_retry_limit", facts.run_attempts, "MAX_RETRIES_PER_WORKFLOW")
    if facts.vendor_attempts is not None and facts.is_unattended:
        yield _hourly("vendor_retry_limit", facts.vendor_attempts, "MAX_RETRIES_PER_VENDOR")
    if facts.budget is not None:
        yield _budget(facts.budget)


def _backoff(backoff: Backoff) -> Gate:
    return Gate(
        "backoff",
        backoff.is_over,
        "over" if backoff.is_over else f"before attempt {backoff.attempt}",
        "over",
        "retry policy",
        "wait",
        clears_at=None if backoff.is_over else backoff.until,
        detail="" if backoff.is_over else "The wait before the next attempt is not over.",
    )


def _budget(budget: Budget) -> Gate:
    passes = not budget.is_empty
    return Gate(
        "retry_budget",
        passes,
        f"{budget.made} in the last minute",
        f"{budget.floor} + {budget.share_percent:g} % of {budget.originals} calls",
        "retry budget of the vendor",
        "wait",
        clears_at=None if passes else budget.clears_at,
        detail=""
        if passes
        else f"{budget.made} retries in the last minute use up the vendor's budget of {budget.limit}.",
        apart=MINUTE / max(budget.limit, 1),
    )


def _in_flight(flying: InFlight) -> Gate:
    passes = flying.under_way < flying.limit
    return Gate(
        f"in_flight_{flying.scope}",
        passes,
        f"{flying.under_way} under way",
        str(flying.limit),
        f"cap of the {flying.scope}",
        "wait",
        clears_at=None if passes else flying.ask_again_at,
        detail=""
        if passes
        else f"{flying.under_way} calls of the {flying.scope} are under way, as many as may be.",
    )


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
        apart=HOUR / max(window.limit, 1),
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
