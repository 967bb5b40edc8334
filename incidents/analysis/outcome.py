"""The only place that says whether an event reports a failure (DESIGN.md rule 16)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from incidents.analysis.facts import text_of
from incidents.states import Outcome

__all__ = ["Matcher", "Outcome", "opens_run", "outcome"]


@dataclass(frozen=True)
class Matcher:
    """One tenant's rule: every condition that is not empty must hold."""

    outcome: Outcome
    event_type: str = ""
    status: str = ""
    error_code: str = ""
    payload_path: str = ""
    payload_value: str = ""


# Ordered: the first pattern that matches decides. Success comes first because `*_recovered` and
# the like report the end of a failure, and often carry the error they recovered from.
MATCHERS = (
    ("*.completed", Outcome.SUCCESS),
    ("*.succeeded", Outcome.SUCCESS),
    ("*.resolved", Outcome.SUCCESS),
    ("*.recovered", Outcome.SUCCESS),
    ("*_recovered", Outcome.SUCCESS),
    ("*.failed", Outcome.FAILURE),
    ("*.error", Outcome.FAILURE),
    ("*.timeout", Outcome.FAILURE),
    ("*.rejected", Outcome.FAILURE),
    ("*.exception", Outcome.FAILURE),
)
FAILED_STATUSES = frozenset({"failed", "error", "rejected"})


def outcome(
    *, event_type: str, payload: Mapping[str, object], matchers: Sequence[Matcher] = ()
) -> Outcome:
    """By the tenant's own matchers; then the event's name; then what the payload admits."""
    name = event_type.casefold()
    for pattern, decided in MATCHERS:
        if fnmatchcase(name, pattern):
            return decided
    if text_of(payload.get("status")).casefold() in FAILED_STATUSES:
        return Outcome.FAILURE
    if _says_something(payload.get("error_code")) or _says_something(payload.get("error_message")):
        return Outcome.FAILURE
    return Outcome.NEUTRAL


def _says_something(value: object) -> bool:
    # Numbers and flags: 0 and false are how programs write "no error".
    return bool(value) and text_of(value) != ""


def opens_run(event_type: str) -> bool:
    return event_type.casefold().endswith(".started")
