"""The only place that words for people why something is not retried."""

from dataclasses import asdict, dataclass
from datetime import datetime

from actions.explain import Explanation
from incidents.presentation.details import gate
from incidents.presentation.shapes import Gate


@dataclass(frozen=True)
class WhyNot:
    """`kind` colours it like a pill; `at` is when it can start at the earliest, None where that takes a person."""

    kind: str
    icon: str
    headline: str
    detail: str
    at: datetime | None
    gates: tuple[Gate, ...]
    n_passed: int


HEADLINES = {
    "go": ("recovering", "check", "Nothing holds it"),
    "wait": ("acknowledged", "hourglass", "Waits"),
    "park": ("human", "power", "Held"),
    "approve": ("human", "shield-alert", "Waits for a person"),
    "skip": ("snoozed", "minus", "Not retried"),
    "fail": ("open", "x", "Not retried again"),
}


def why_not(explanation: Explanation) -> WhyNot | None:
    """None where nothing could be retried: it is under way or over. Gates that hold come first."""
    if not explanation.gates:
        return None
    kind, icon, headline = HEADLINES[explanation.effect]
    gates = tuple(gate(asdict(one)) for one in explanation.gates)
    holding = [one for one in gates if not one.passed]
    passed = [one for one in gates if one.passed]
    attempt = explanation.next_attempt
    return WhyNot(
        kind=kind,
        icon=icon,
        headline=f"{headline} · attempt {attempt}" if attempt else headline,
        detail=" ".join(one.detail for one in holding if one.detail) or explanation.reason,
        at=explanation.earliest_possible_at,
        gates=(*holding, *passed),
        n_passed=len(passed),
    )
