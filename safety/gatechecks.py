"""The checks of the gate, each by itself: what it looks at, what it demands, and what its failure means."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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


def still_needed(facts: Facts) -> Gate:
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


def needed(name: str, needed: Needed) -> Gate:
    detail = "" if needed.is_met else needed.detail
    return Gate(
        name, needed.is_met, needed.value, needed.limit, needed.source, "skip", detail=detail
    )


def campaign(state: str) -> Gate:
    passes, effect = CAMPAIGNS[state]
    detail = "" if passes else f"Its campaign is {state}."
    return Gate("campaign", passes, state, "running", "the campaign", effect, detail=detail)


def approval(changed: Mapping[str, Sequence[Any]]) -> Gate:
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


def permissions(facts: Facts) -> Iterator[Gate]:
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


def blast(blast: Blast) -> Gate:
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


def backoff(backoff: Backoff) -> Gate:
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


def budget(budget: Budget) -> Gate:
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


def in_flight(flying: InFlight) -> Gate:
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


def hourly(name: str, window: Window, source: str) -> Gate:
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


def permit(name: str, permit: Permit, source: str) -> Gate:
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
