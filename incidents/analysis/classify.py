"""The only place that says what kind of failure it is: by its code, else by its words."""

import re
from dataclasses import dataclass, replace

from incidents.analysis.bayes import Guess
from incidents.analysis.build_rules import BUILD_RULES
from incidents.analysis.facts import Facts
from incidents.analysis.runtime_rules import RUNTIME_RULES
from incidents.analysis.text_rule import RETRYABLE, UNKNOWN, TextRule
from incidents.signature import normalise
from incidents.wording import humanised

TEXT_RULES = (*RUNTIME_RULES, *BUILD_RULES)  # the first that finds its words decides
UNKNOWN_CONFIDENCE = 0.3
EVEN = 0.5  # a guess less likely than not says nothing
NAME_CONFIDENCE = 0.6  # the event's name alone never runs anything unattended
_CODE_LIMIT = 255
_EXCERPT_LIMIT = 80
# `OOMKilled` reads as two words, but nothing inside a path, an address or an id is touched.
_CAMEL_WORD = re.compile(r"(?<![\w/=&?%+-])[A-Za-z]{4,60}+(?![\w/=])")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_HTTP_ERROR = re.compile(r"[45]\d\d")


@dataclass(frozen=True)
class Classification:
    category: str
    severity: str
    confidence: float
    is_certain: bool
    rule: str
    evidence: tuple[str, ...]
    retryable_hint: bool


def classify(
    facts: Facts, *, code_category: str | None, code_severity: str | None
) -> Classification:
    """A code the rulebook knows is certain; else the first text rule that finds its words.

    A code of which the rulebook knows the severity only keeps that severity.
    """
    if code_category:
        return Classification(
            category=code_category,
            severity=code_severity or "medium",
            confidence=1.0,
            is_certain=True,
            rule=f"code:{facts.error_code}",
            evidence=(f'error_code: "{facts.error_code[:_EXCERPT_LIMIT]}" is in the rulebook',),
            retryable_hint=code_category in RETRYABLE,
        )
    said = _said(facts)
    for rule in TEXT_RULES:
        for field, text in said:
            if found := rule.pattern.search(text):
                return _matched(rule, field=field, excerpt=found[0], severity=code_severity)
    return unknown(severity=code_severity)


def unknown(*, severity: str | None, because: str = "no rule knows these words") -> Classification:
    return Classification(
        category=UNKNOWN,
        severity=severity or "medium",
        confidence=UNKNOWN_CONFIDENCE,
        is_certain=False,
        rule="none",
        evidence=(because,),
        retryable_hint=False,
    )


def relearned(found: Classification, guess: Guess | None) -> Classification:
    """What people called failures like it, where that is surer than the rules; a code's word stands.

    What a rule knows to be lasting stays so: a retry meets the same wall, whatever it is called.
    """
    if guess is None or found.is_certain or guess.confidence <= max(found.confidence, EVEN):
        return found
    is_lasting = found.category in RETRYABLE and not found.retryable_hint
    return replace(
        found,
        category=guess.label,
        confidence=round(guess.confidence, 3),
        rule=f"labels:{guess.label}",
        evidence=(f"{guess.n} confirmed labels; {', '.join(guess.votes)}",),
        retryable_hint=guess.label in RETRYABLE and not is_lasting,
    )


def _matched(rule: TextRule, *, field: str, excerpt: str, severity: str | None) -> Classification:
    by_name = field == "event_type"
    return Classification(
        category=rule.category,
        severity=severity or rule.severity,
        confidence=min(rule.confidence, NAME_CONFIDENCE) if by_name else rule.confidence,
        is_certain=False,
        rule=f"text:{rule.name}",
        evidence=(f'{field}: "{excerpt[:_EXCERPT_LIMIT].strip()}"',),
        retryable_hint=rule.category in RETRYABLE and not rule.is_lasting,
    )


def _said(facts: Facts) -> tuple[tuple[str, str], ...]:
    """What each field says, in words a rule can read."""
    return (
        ("error_code", _code_words(facts.error_code)),
        ("error_message", normalise(_CAMEL_WORD.sub(_apart, facts.error_message))),
        ("status", _code_words(facts.status)),
        ("event_type", _code_words(facts.event_type.rpartition(".")[2])),
    )


def _code_words(code: str) -> str:
    """`HTTP_503`, `503` and `AccessDenied` as "http 503", "http 503" and "access denied"."""
    words = humanised(code[:_CODE_LIMIT]).lower()
    return f"http {words}" if _HTTP_ERROR.fullmatch(words) else words


def _apart(word: re.Match[str]) -> str:
    return _HUMP.sub(" ", word[0])
