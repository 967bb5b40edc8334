"""The only shapes of rules: values by dotted name, and the policies they come to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Values = Mapping[str, object]  # dotted name of rulefields.FIELDS -> value


@dataclass(frozen=True)
class RetryPolicy:
    """How to try again; the defaults are the built-in ones, and they do not retry."""

    enabled: bool = False
    max_retries: int = 0
    backoff_strategy: str = "exponential"
    initial_delay_ms: int = 1_000
    max_delay_ms: int = 30_000
    backoff_multiplier: float = 2.0
    jitter: str = "none"
    jitter_factor: float = 0.2  # `jitter: true` alone means the original's ± 20 %
    respect_retry_after: bool = True


@dataclass(frozen=True)
class BreakerPolicy:
    failure_threshold: int = 10
    timeout_seconds: int = 300
    half_open_requests: int = 3
    probe_lease_seconds: int = 60  # a probe that has not answered by then is dead
    open_growth_cap: int = 8  # failed probes double the open time up to this multiple
    window: str = "time"  # or "count": what the rates are taken of
    window_seconds: int = 60
    window_calls: int = 100
    failure_rate_percent: float = 100.0  # all of them: only failures in a row open it
    slow_call_ms: int = 0  # a call that takes longer is slow; 0: none is
    slow_rate_percent: float = 100.0


@dataclass(frozen=True)
class RateLimit:
    requests_per_second: float = 50.0
    burst_size: int = 5


@dataclass(frozen=True)
class RetryBudget:
    """Retries of a vendor in any minute: a floor, and a share of the calls that were no retries (DESIGN.md rule 14)."""

    share_percent: float = 20.0
    floor_per_minute: int = 10


@dataclass(frozen=True)
class BlastRadius:
    """What one rule may set off by itself in any hour before a person looks; 0: no limit."""

    max_actions_per_hour: int = 0
    max_runs_per_hour: int = 0


@dataclass(frozen=True)
class CodeRule:
    name: str
    line: int
    values: Values  # severity, and of category, retry.enabled, retry.max_retries what is said
    retry_policy: str | None
    description: str

    @property
    def category(self) -> str | None:
        category = self.values.get("category")
        return None if category is None else str(category)


@dataclass(frozen=True)
class PolicyRule:
    name: str
    line: int
    values: Values

    def as_policy(self) -> RetryPolicy:
        return retry_policy_of(self.values)


@dataclass(frozen=True)
class VendorRule:
    name: str
    line: int
    values: Values


@dataclass(frozen=True)
class Rulebook:
    codes: Mapping[str, CodeRule]
    policies: Mapping[str, PolicyRule]
    vendors: Mapping[str, VendorRule]
    digest: str = field(default="", compare=False)  # of the three files, for a Decision's snapshot


def retry_policy_of(values: Values) -> RetryPolicy:
    """Typed from merged values: what is missing keeps the built-in default."""
    return RetryPolicy(**_under("retry.", values))


def breaker_policy_of(values: Values) -> BreakerPolicy:
    return BreakerPolicy(**_under("breaker.", values))


def rate_limit_of(values: Values) -> RateLimit:
    return RateLimit(**_under("rate_limit.", values))


def retry_budget_of(values: Values) -> RetryBudget:
    return RetryBudget(**_under("retry_budget.", values))


def blast_radius_of(values: Values) -> BlastRadius:
    return BlastRadius(**_under("blast_radius.", values))


def _under(prefix: str, values: Values) -> dict[str, Any]:
    return {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
