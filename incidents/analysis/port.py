"""The seam for another analyst: today the rules are the only one that starts."""

from typing import Protocol

from incidents.analysis import classify as rules
from incidents.analysis.classify import Classification
from incidents.analysis.facts import Facts

ENGINE_VERSION = "rules-2"


class UnknownAnalyst(Exception):
    """AI_MODE names an analyst this build does not have."""


class Analyst(Protocol):
    @property
    def name(self) -> str: ...

    def classify(
        self, facts: Facts, *, code_category: str | None, code_severity: str | None
    ) -> Classification: ...


class RuleBased:
    name = ENGINE_VERSION

    def classify(
        self, facts: Facts, *, code_category: str | None, code_severity: str | None
    ) -> Classification:
        return rules.classify(facts, code_category=code_category, code_severity=code_severity)


def analyst(*, mode: str) -> Analyst:
    """Raises UnknownAnalyst; settings refuse to start with any mode but `mock` anyway."""
    if mode != "mock":
        raise UnknownAnalyst(f"AI_MODE={mode!r}: only 'mock', the built-in rules, is available.")
    return RuleBased()
