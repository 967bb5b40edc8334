"""The only place that knows a proposed change: of rules, and of what events report; checked, kept, and applied."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

from incidents.analysis.outcome import Matcher
from incidents.states import Outcome
from safety import rule_texts
from safety.effective import Override

PROPOSED: Final = "proposed"  # the id of an override that nobody saved
LAST_VERSION: Final = 2**31 - 1


@dataclass(frozen=True)
class RuleChange:
    """The next version of one rule: all that it would set. `version` is the one in force, 0 for none."""

    scope: str
    target: str
    version: int
    before: Mapping[str, object]
    after: Mapping[str, object]

    @property
    def title(self) -> str:
        return rule_texts.title(self.scope, self.target)

    @property
    def differences(self) -> list[str]:
        return rule_texts.differences(self.before, self.after)

    def as_override(self) -> Override:
        return Override(self.scope, self.target, self.after, LAST_VERSION, PROPOSED)


@dataclass(frozen=True)
class OutcomeChange:
    """One rule about what events report, new or in place of the one with this id, at its position."""

    id: str
    position: int
    matcher: Matcher


@dataclass(frozen=True)
class Placed:
    """An outcome rule in force, where it is asked."""

    id: str
    position: int
    matcher: Matcher


@dataclass(frozen=True)
class Change:
    rules: tuple[RuleChange, ...] = ()
    outcome: OutcomeChange | None = None

    @property
    def lines(self) -> list[str]:
        """In words, a line a value."""
        said = [f"{one.title}: {line}" for one in self.rules for line in one.differences]
        if self.outcome is not None:
            conditions = asdict(self.outcome.matcher)
            outcome = conditions.pop("outcome")
            asked = ", ".join(f"{name} {value}" for name, value in conditions.items() if value)
            said.append(f"An event with {asked} reports {outcome}")
        return said or ["Nothing differs from what is in force."]

    def overrides(self, known: Sequence[Override]) -> list[Override]:
        """The rules known at a moment, with the proposed ones in force over them."""
        return [*known, *(one.as_override() for one in self.rules)]

    def matchers(self, placed: Sequence[Placed]) -> list[Matcher]:
        """In the order in which they are asked; a new one comes last of its position."""
        kept = list(placed)
        if self.outcome is not None:
            kept = [one for one in kept if one.id != self.outcome.id]
            kept.append(Placed("~", self.outcome.position, self.outcome.matcher))
        return [one.matcher for one in sorted(kept, key=lambda one: (one.position, one.id))]

    def as_json(self) -> dict[str, Any]:
        outcome = None
        if self.outcome is not None:
            said = asdict(self.outcome.matcher)
            outcome = {"id": self.outcome.id, "position": self.outcome.position, **said}
            outcome["outcome"] = str(said["outcome"])
        return {"rules": [asdict(one) for one in self.rules], "outcome_rule": outcome}


def from_json(stored: Mapping[str, Any]) -> Change:
    outcome = stored.get("outcome_rule")
    rules = tuple(RuleChange(**one) for one in stored.get("rules", ()))
    if not outcome:
        return Change(rules)
    said = {name: value for name, value in outcome.items() if name not in ("id", "position")}
    matcher = replace(Matcher(**said), outcome=Outcome(said["outcome"]))
    return Change(rules, OutcomeChange(outcome["id"], outcome["position"], matcher))


NOTHING: Final = Change()


def known_at(history: Sequence[tuple[datetime, Override]], moment: datetime) -> list[Override]:
    """The versions that were saved by then."""
    return [override for at, override in history if at <= moment]
