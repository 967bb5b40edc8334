"""The only place that says whether an event reports a failure (DESIGN.md rule 16)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from incidents.analysis import patterns
from incidents.analysis.facts import text_of
from incidents.analysis.patterns import PatternRefused
from incidents.states import Outcome

__all__ = ["SHIPPED", "Matcher", "Outcome", "faults", "opens_run", "outcome"]

_INDEX_DIGITS = 9  # Python refuses to read a number of thousands of digits


@dataclass(frozen=True)
class Matcher:
    """Every condition that is given must hold; one about what the event does not say never holds.

    `event_type` and `error_code` are patterns, the rest is equal, all without regard to case. A
    `payload_path` alone asks whether anything is there: not null, empty, blank, 0 or false.
    """

    outcome: Outcome
    event_type: str = ""
    status: str = ""
    error_code: str = ""
    payload_path: str = ""
    payload_value: str = ""


# Asked in this order after the tenant's own. Success comes first because `*_recovered` and the
# like report the end of a failure, and often carry the error they recovered from.
SHIPPED = (
    Matcher(Outcome.SUCCESS, event_type="*.completed"),
    Matcher(Outcome.SUCCESS, event_type="*.succeeded"),
    Matcher(Outcome.SUCCESS, event_type="*.resolved"),
    Matcher(Outcome.SUCCESS, event_type="*.recovered"),
    Matcher(Outcome.SUCCESS, event_type="*_recovered"),
    Matcher(Outcome.FAILURE, event_type="*.failed"),
    Matcher(Outcome.FAILURE, event_type="*.error"),
    Matcher(Outcome.FAILURE, event_type="*.timeout"),
    Matcher(Outcome.FAILURE, event_type="*.rejected"),
    Matcher(Outcome.FAILURE, event_type="*.exception"),
    Matcher(Outcome.FAILURE, status="failed"),
    Matcher(Outcome.FAILURE, status="error"),
    Matcher(Outcome.FAILURE, status="rejected"),
    Matcher(Outcome.FAILURE, payload_path="error_code"),
    Matcher(Outcome.FAILURE, payload_path="error_message"),
)


@dataclass(frozen=True)
class _Said:
    """What conditions are about, read once for all of them."""

    event_type: str
    status: str
    error_code: str
    payload: object


def outcome(*, event_type: str, payload: object, matchers: Sequence[Matcher] = ()) -> Outcome:
    """By the first that holds, of the tenant's own matchers and then of the shipped. Never raises."""
    fields: Mapping[str, object] = payload if isinstance(payload, Mapping) else {}
    said = _Said(
        event_type=event_type.casefold(),
        status=text_of(fields.get("status")).casefold(),
        error_code=text_of(fields.get("error_code")).casefold(),
        payload=payload,
    )
    for asked in (matchers, SHIPPED):
        for matcher in asked:
            if _holds(matcher, said):
                return matcher.outcome
    return Outcome.NEUTRAL


def opens_run(event_type: str) -> bool:
    return event_type.casefold().endswith(".started")


def faults(matcher: Matcher) -> dict[str, str]:
    """What keeps it from being a rule, by field, in words for who typed it."""
    found = {}
    for name in ("event_type", "error_code"):
        try:
            patterns.demand(getattr(matcher, name))
        except PatternRefused as refused:
            found[name] = str(refused)
    if matcher.payload_path and not all(matcher.payload_path.split(".")):
        found["payload_path"] = "Names or numbers with one dot between them, such as error.kind."
    if matcher.payload_value and not matcher.payload_path:
        found["payload_path"] = "Say where in the payload this value stands."
    if not _has_condition(matcher) and not found:
        found["event_type"] = "Give at least one condition; without any, every event would match."
    return found


def _holds(matcher: Matcher, said: _Said) -> bool:
    return (
        _has_condition(matcher)
        and (not matcher.event_type or _is_like(said.event_type, matcher.event_type))
        and (not matcher.status or said.status == matcher.status.casefold())
        and (not matcher.error_code or _is_like(said.error_code, matcher.error_code))
        and (not matcher.payload_path or _stands(matcher, said.payload))
    )


def _has_condition(matcher: Matcher) -> bool:
    return bool(matcher.event_type or matcher.status or matcher.error_code or matcher.payload_path)


def _is_like(text: str, pattern: str) -> bool:
    """`text` is casefolded already."""
    return text != "" and patterns.fits(text, pattern)


def _stands(matcher: Matcher, payload: object) -> bool:
    value = _at(payload, matcher.payload_path)
    if matcher.payload_value:
        return text_of(value).casefold() == matcher.payload_value.strip().casefold()
    # Numbers and flags: 0 and false are how programs write "no error".
    return bool(value.strip() if isinstance(value, str) else value)


def _at(payload: object, path: str) -> object:
    """The value at a dotted path, list positions as numbers; None where there is nothing."""
    value = payload
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and _is_position(part) and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _is_position(part: str) -> bool:
    return part.isascii() and part.isdecimal() and len(part) <= _INDEX_DIGITS
