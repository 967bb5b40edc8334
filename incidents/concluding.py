"""The only place where a decision follows from what was known: it reads no row, so that it can be followed again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from incidents.states import Choice, Severity
from safety import gate
from safety.effective import Effective, Value

STORM = "Its incidents are decided one by one; people are told once, for all of them."
# What the engine looks at, beside the rules in force; everything else in the inputs is for people.
NEEDED: Final = frozenset(
    {
        "classification",
        "severity",
        "has_retry_url",
        "idempotent",
        "auto_retry_enabled",
        "confidence_threshold",
        "title",
        "is_storm",
        "unrecovered_runs",
        "storm_runs",
    }
)


@dataclass(frozen=True)
class Chosen:
    """What is done and why, in words for people."""

    choice: Choice
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Candidate:
    """`score`: how sure it is that this fits, 0 where it is not open."""

    choice: Choice
    score: float
    because: str


@dataclass(frozen=True)
class Conclusion:
    """Everything a decision says that follows from its inputs and the rules."""

    choice: Choice
    category: str
    confidence: float
    reasons: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    gates: tuple[Mapping[str, Any], ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "choice": str(self.choice),
            "category": self.category,
            "confidence": self.confidence,
            "reasons": list(self.reasons),
            "candidates": [
                {"choice": str(one.choice), "score": one.score, "because": one.because}
                for one in self.candidates
            ],
            "gates": [dict(one) for one in self.gates],
        }


def conclude(inputs: Mapping[str, Any], in_force: Effective) -> Conclusion:
    """What to do. A storm has nothing of its own to retry: it is the one message about its incidents."""
    chosen = _chosen(inputs, in_force)
    confidence = _confidence(inputs)
    return Conclusion(
        choice=chosen.choice,
        category=in_force.category,
        confidence=confidence,
        reasons=chosen.reasons,
        candidates=tuple(_candidate(each, chosen, confidence) for each in Choice),
        gates=_gates(inputs, in_force) if chosen.choice == Choice.RETRY else (),
    )


def canonical(value: object) -> bytes:
    """One spelling of plain data: what is equal is equal byte for byte."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def fingerprint(inputs: object, rules: object) -> str:
    """Of everything a decision was made from."""
    return hashlib.sha256(canonical({"inputs": inputs, "rules": rules})).hexdigest()


def version_digest(scope: str, target: str, version: int, values: Mapping[str, object]) -> str:
    """Of one version of a rule: it is written once, so a digest that differs tells of an edit."""
    return hashlib.sha256(canonical([scope, target, version, dict(values)])).hexdigest()


def in_force_of(snapshot: Mapping[str, Mapping[str, Any]]) -> Effective:
    """The rules as a decision kept them."""
    values = {
        name: Value(kept["value"], kept["source"], kept.get("override_id"))
        for name, kept in snapshot.items()
    }
    return Effective(MappingProxyType(values))


def record_of(kept: Mapping[str, Any] | None) -> gate.Record | None:
    """How retries like it did before; decisions from before this was asked have none."""
    return gate.Record(kept["worked"], kept["n"], kept["lower"]) if kept else None


def choose(
    *, in_force: Effective, severity: str, has_retry_url: bool, classification: Mapping[str, Any]
) -> Chosen:
    """The choice from plain values: retry where a rule allows it, people where it matters, else watch."""
    why = f"{_known_by(classification)}: {in_force.category.replace('_', ' ')}, severity {severity}"
    retry_rule = in_force.values["retry.enabled"]
    can_help = in_force.retry.enabled and classification.get("retryable_hint", True)
    if can_help and in_force.mode != "off" and has_retry_url:
        return _retry(in_force, why)
    if can_help and in_force.mode != "off":
        return Chosen(
            Choice.ESCALATE, (why, "a retry could help, but the workflow has no retry URL")
        )
    no_retry = f"no retry ({retry_rule.source})"
    if in_force.retry.enabled:
        no_retry = "no retry: the failure will not pass by itself"
    if can_help:
        no_retry = f"no retry: the mode is off ({in_force.values['mode'].source})"
    if severity in (Severity.HIGH, Severity.CRITICAL):
        return Chosen(Choice.ESCALATE, (why, no_retry, f"severity {severity} needs people"))
    return Chosen(Choice.OBSERVE, (why, no_retry, f"severity {severity} can wait for a person"))


def is_shadowed(
    *, in_force: Effective, has_retry_url: bool, classification: Mapping[str, Any]
) -> bool:
    """Whether a retry would be planned, were the rules not only to be watched."""
    can_help = in_force.retry.enabled and classification.get("retryable_hint", True)
    return bool(can_help and has_retry_url and in_force.mode == "shadow")


def _chosen(inputs: Mapping[str, Any], in_force: Effective) -> Chosen:
    if inputs["is_storm"]:
        return Chosen(Choice.ESCALATE, (inputs["title"], STORM))
    return choose(
        in_force=in_force,
        severity=inputs["severity"],
        has_retry_url=inputs["has_retry_url"],
        classification=inputs["classification"],
    )


def _candidate(choice: Choice, chosen: Chosen, confidence: float) -> Candidate:
    """They exclude each other. A retry is as sure as the category; a person who looks, and waiting, are safe."""
    if choice == chosen.choice:
        score = confidence if choice == Choice.RETRY else 1.0
        return Candidate(choice, score, chosen.reasons[-1])
    if choice == Choice.RETRY:
        return Candidate(choice, 0.0, chosen.reasons[1])
    if chosen.choice == Choice.RETRY:
        return Candidate(choice, 0.0, "the machine retries first")
    return Candidate(choice, 0.0, chosen.reasons[-1])


def _retry(in_force: Effective, why: str) -> Chosen:
    """As far as the rules' mode lets it go; for what is only watched people are needed as for anything unhandled."""
    policy, mode = in_force.values["retry.max_retries"], in_force.values["mode"]
    tries = f"up to {policy.value} retries per run ({policy.source})"
    if mode.value == "shadow":
        return Chosen(
            Choice.ESCALATE, (why, f"{tries} on paper: the mode is shadow ({mode.source})")
        )
    if mode.value == "approve":
        asks = f"a person approves each: the mode is approve ({mode.source})"
        return Chosen(Choice.RETRY, (why, tries, asks))
    return Chosen(Choice.RETRY, (why, tries))


def _known_by(classification: Mapping[str, Any]) -> str:
    """Where the category comes from, in words."""
    how, _, name = str(classification.get("rule", "")).partition(":")
    plain = name.replace("_", " ")
    known = {
        "code": f"error code {name}",
        "text": f"the message reads as {plain}",
        "labels": f"people called failures like it {plain}",
    }
    return known.get(how, "nothing known matches")


def _gates(inputs: Mapping[str, Any], in_force: Effective) -> tuple[Mapping[str, Any], ...]:
    facts = gate.Facts(
        action_type="retry",
        mode=in_force.mode,
        auto_retry_enabled=inputs["auto_retry_enabled"],
        idempotent=inputs["idempotent"],
        confidence=_confidence(inputs),
        is_certain=bool(inputs["classification"].get("is_certain", False)),
        confidence_threshold=inputs["confidence_threshold"],
        storm=gate.Storm(inputs["unrecovered_runs"], inputs["storm_runs"]),
        record=record_of(inputs.get("track_record")),
    )
    return tuple(gate.check(facts).as_json())


def _confidence(inputs: Mapping[str, Any]) -> float:
    return float(inputs["classification"].get("confidence", 0))
