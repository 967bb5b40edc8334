"""The only list of what a rule may say: every value's name, type, range and who may tune it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

SEVERITIES: Final = ("low", "medium", "high", "critical")
UNKNOWN: Final = "unknown"
CATEGORIES: Final = (
    "user_error",
    "validation_error",
    "auth_error",
    "transient_error",
    "vendor_error",
    "rate_limit",
    "infrastructure_error",
    UNKNOWN,
)
STRATEGIES: Final = ("fixed", "linear", "exponential")
JITTERS: Final = ("none", "full", "equal", "decorrelated", "factor")
# How far a retry that the rules allow goes by itself: not at all, on paper, to a person, all the way.
MODES: Final = ("off", "shadow", "approve", "auto")
WINDOWS: Final = ("time", "count")
SCOPES: Final = ("workflow", "vendor", "code", "category", "tenant")

DAY_MS: Final = 86_400_000
_MAX_DIGITS: Final = 12  # int() of a hostile million digits takes seconds


class Field(Protocol):
    """One kind of value: `parse` reads text, `check` judges a value that already has a type."""

    @property
    def is_text(self) -> bool: ...
    def parse(self, text: str) -> object: ...
    def check(self, value: object) -> object: ...


@dataclass(frozen=True)
class Whole:
    low: int
    high: int
    is_text: bool = False

    def parse(self, text: str) -> int:
        if not re.fullmatch(rf"-?(0|[1-9][0-9]{{0,{_MAX_DIGITS}}})", text):
            raise ValueError(
                f'must be a whole number in plain digits, like 1000; "{text[:80]}" is not'
            )
        return self.check(int(text))

    def check(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f'must be a whole number; "{str(value)[:80]}" is not')
        if not self.low <= value <= self.high:
            raise ValueError(f"must be from {self.low} to {self.high}; {value} is not")
        return value


@dataclass(frozen=True)
class Number:
    low: float
    high: float
    is_text: bool = False

    def parse(self, text: str) -> float:
        if not re.fullmatch(rf"-?[0-9]{{1,{_MAX_DIGITS}}}(\.[0-9]{{1,{_MAX_DIGITS}}})?", text):
            raise ValueError(f'must be a number in plain digits, like 2.5; "{text[:80]}" is not')
        return self.check(float(text))

    def check(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f'must be a number; "{str(value)[:80]}" is not')
        if not self.low <= value <= self.high:  # NaN fails here too
            raise ValueError(f"must be from {self.low:g} to {self.high:g}; {value:g} is not")
        return float(value)


@dataclass(frozen=True)
class Flag:
    is_text: bool = False

    def parse(self, text: str) -> bool:
        if text not in ("true", "false"):
            raise ValueError(f'must be true or false; "{text[:80]}" is not')
        return text == "true"

    def check(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError(f'must be true or false; "{str(value)[:80]}" is not')
        return value


@dataclass(frozen=True)
class Choice:
    options: tuple[str, ...]
    is_text: bool = True

    def parse(self, text: str) -> str:
        if text not in self.options:
            raise ValueError(f'must be one of {", ".join(self.options)}; "{text[:80]}" is not')
        return text

    def check(self, value: object) -> str:
        return self.parse(str(value))


@dataclass(frozen=True)
class Jitter:
    """A word of JITTERS, or the original's true (± jitter_factor) and false (none)."""

    is_text: bool = False  # true and false are words here

    def parse(self, text: str) -> str:
        word = {"true": "factor", "false": "none"}.get(text, text)
        if word not in JITTERS:
            options = ", ".join(JITTERS)
            raise ValueError(f'must be true, false or one of {options}; "{text[:80]}" is not')
        return word

    def check(self, value: object) -> str:
        return self.parse(str(value).lower() if isinstance(value, bool) else str(value))


@dataclass(frozen=True)
class Text:
    pattern: str
    meaning: str
    is_text: bool = True

    def parse(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text):
            raise ValueError(f'must be {self.meaning}; "{text[:80]}" is not')
        return text

    def check(self, value: object) -> str:
        return self.parse(str(value))


NAME: Final = Text(r"[a-z0-9][a-z0-9._-]{0,99}", "a name of a-z, 0-9, '.', '_', '-'")
CODE: Final = Text(r"[\x21-\x7e]{1,100}", "an error code without blanks, at most 100 characters")
DESCRIPTION: Final = Text(r"[^\x00-\x1f\x7f]{0,400}", "one line of at most 400 characters")

# Everything a rule can decide, by the dotted name under which it is merged, shown and overridden.
FIELDS: Final[Mapping[str, Field]] = {
    "severity": Choice(SEVERITIES),
    "category": Choice(CATEGORIES),
    "mode": Choice(MODES),
    "retry.enabled": Flag(),
    "retry.max_retries": Whole(0, 100),
    "retry.backoff_strategy": Choice(STRATEGIES),
    "retry.initial_delay_ms": Whole(0, DAY_MS),
    "retry.max_delay_ms": Whole(0, DAY_MS),
    "retry.backoff_multiplier": Number(1, 100),
    "retry.jitter": Jitter(),
    "retry.jitter_factor": Number(0, 1),
    "retry.respect_retry_after": Flag(),
    "breaker.failure_threshold": Whole(1, 100_000),
    "breaker.timeout_seconds": Whole(1, 86_400),
    "breaker.half_open_requests": Whole(1, 1_000),
    "breaker.window": Choice(WINDOWS),
    "breaker.window_seconds": Whole(10, 3_600),
    "breaker.window_calls": Whole(1, 100_000),
    "breaker.failure_rate_percent": Number(1, 100),
    "breaker.slow_call_ms": Whole(0, 600_000),
    "breaker.slow_rate_percent": Number(1, 100),
    "rate_limit.requests_per_second": Number(0.01, 100_000),
    "rate_limit.burst_size": Whole(1, 100_000),
    "retry_budget.share_percent": Number(0, 100),
    "retry_budget.floor_per_minute": Whole(1, 100_000),
    "blast_radius.max_actions_per_hour": Whole(0, 1_000_000),
    "blast_radius.max_runs_per_hour": Whole(0, 1_000_000),
    "timeout_seconds": Whole(1, 600),
}


class ValuesRefused(ValueError):
    """An override somebody typed does not hold; `errors` maps each key to its message."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{key} {message}" for key, message in errors.items()))
        self.errors = errors


def may_tune(scope: str, key: str) -> bool:
    """Whether an override of this scope may set this value.

    A breaker, a rate limit and a retry budget are one per vendor: a workflow or code that set its own would make
    two callers disagree about the same row. A category cannot be chosen by a category. A blast radius is of the rule
    that says yes to a retry, and only codes and categories do.
    """
    if key.startswith("blast_radius."):
        return scope in ("code", "category", "tenant")
    if key.startswith(("breaker.", "rate_limit.", "retry_budget.")):
        return scope in ("vendor", "tenant")
    if key == "category":
        return scope in ("workflow", "vendor", "code")
    return True


def validate_values(scope: str, values: Mapping[str, object]) -> dict[str, object]:
    """The same differences with their proper types; raises ValuesRefused with all that is wrong.

    No values at all is a version too: back to what the files say.
    """
    if scope not in SCOPES:
        raise ValuesRefused({"scope": f"must be one of {', '.join(SCOPES)}"})
    accepted: dict[str, object] = {}
    errors: dict[str, str] = {}
    for key, value in values.items():
        try:
            accepted[key] = _accept(scope, key, value)
        except ValueError as refused:
            errors[key] = str(refused)
    contradiction = contradiction_of(accepted)
    if contradiction is not None:
        errors["retry.initial_delay_ms"] = contradiction
    if errors:
        raise ValuesRefused(errors)
    return accepted


def contradiction_of(values: Mapping[str, object]) -> str | None:
    initial, cap = values.get("retry.initial_delay_ms"), values.get("retry.max_delay_ms")
    if isinstance(initial, int) and isinstance(cap, int) and initial > cap:
        return f"{initial} is above max_delay_ms {cap}"
    return None


def _accept(scope: str, key: str, value: object) -> object:
    field = FIELDS.get(key)
    if field is None:
        raise ValueError("is not a value a rule can set")
    if not may_tune(scope, key):
        raise ValueError(f"cannot be set for a {scope}")
    # Forms send text, JSON sends types; both mean the same.
    return field.parse(value.strip()) if isinstance(value, str) else field.check(value)
