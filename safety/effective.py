"""The only place that merges the rulebook with a tenant's overrides and names who won each value.

Levels, strongest first: workflow > vendor > code > category > tenant > default. Within a level an
override stands above the file. Every level only tunes numbers: none can allow a retry that
another forbids.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from safety.rulefields import FIELDS, UNKNOWN, may_tune
from safety.rulefiles import CODES_FILE, DEFAULT, POLICIES_FILE, VENDORS_FILE
from safety.ruletypes import (
    BlastRadius,
    BreakerPolicy,
    CodeRule,
    RateLimit,
    RetryBudget,
    RetryPolicy,
    Rulebook,
    blast_radius_of,
    breaker_policy_of,
    rate_limit_of,
    retry_budget_of,
    retry_policy_of,
)

PROBE_MARGIN_SECONDS: Final = 30  # a probe may use its whole deadline and still settle in its lease

# Environment variable -> value. The first two are plain facts for the snapshot; nobody tunes them.
_ENVIRONMENT: Final = {
    "MAX_RETRIES_PER_WORKFLOW": "limits.max_retries_per_workflow",
    "MAX_RETRIES_PER_VENDOR": "limits.max_retries_per_vendor",
    "CIRCUIT_BREAKER_THRESHOLD": "breaker.failure_threshold",
    "CIRCUIT_BREAKER_TIMEOUT_SECONDS": "breaker.timeout_seconds",
}
_BUILT_IN: Final[Mapping[str, object]] = {
    "severity": "medium",
    "mode": "auto",
    "timeout_seconds": 30,
    **{f"retry.{name}": value for name, value in vars(RetryPolicy()).items()},
    **{
        f"breaker.{name}": value
        for name, value in vars(BreakerPolicy()).items()
        if f"breaker.{name}" in FIELDS
    },
    **{f"rate_limit.{name}": value for name, value in vars(RateLimit()).items()},
    **{f"retry_budget.{name}": value for name, value in vars(RetryBudget()).items()},
    **{f"blast_radius.{name}": value for name, value in vars(BlastRadius()).items()},
}


@dataclass(frozen=True)
class Override:
    """One version of a tenant's differences; of one scope and target the highest version counts."""

    scope: str
    target: str
    values: Mapping[str, object]
    version: int
    id: str

    @property
    def source(self) -> str:
        if self.scope == "tenant":
            return f"override v{self.version} for the tenant"
        return f"override v{self.version} for {self.scope} {self.target}"


@dataclass(frozen=True)
class Value:
    value: object
    source: str
    override_id: str | None = None


@dataclass(frozen=True)
class Effective:
    values: Mapping[str, Value]

    @property
    def retry(self) -> RetryPolicy:
        return retry_policy_of(self._plain())

    @property
    def retry_sources(self) -> dict[str, str]:
        """Who won each number of the retry policy."""
        prefix = "retry."
        return {
            key.removeprefix(prefix): value.source
            for key, value in self.values.items()
            if key.startswith(prefix)
        }

    @property
    def breaker(self) -> BreakerPolicy:
        lease_seconds = self.timeout_seconds + PROBE_MARGIN_SECONDS
        return replace(breaker_policy_of(self._plain()), probe_lease_seconds=lease_seconds)

    @property
    def rate_limit(self) -> RateLimit:
        return rate_limit_of(self._plain())

    @property
    def retry_budget(self) -> RetryBudget:
        return retry_budget_of(self._plain())

    @property
    def blast_radius(self) -> BlastRadius:
        return blast_radius_of(self._plain())

    def retry_as_json(self) -> dict[str, Any]:
        """What an action keeps of it: the policy as resolved when it was made, and who won each number."""
        return {
            **asdict(self.retry),
            "timeout_seconds": self.timeout_seconds,
            "sources": self.retry_sources,
        }

    @property
    def timeout_seconds(self) -> int:
        return int(str(self.values["timeout_seconds"].value))

    @property
    def severity(self) -> str:
        return str(self.values["severity"].value)

    @property
    def mode(self) -> str:
        """One of rulefields.MODES. It can hold a retry back; it never allows one that a rule forbids."""
        return str(self.values["mode"].value)

    @property
    def category(self) -> str:
        return str(self.values["category"].value)

    def as_json(self) -> dict[str, dict[str, Any]]:
        """Plain data for a Decision's snapshot and `/rules/effective`."""
        return {key: _value_as_json(value) for key, value in sorted(self.values.items())}

    def _plain(self) -> dict[str, object]:
        return {key: value.value for key, value in self.values.items()}


@dataclass(frozen=True)
class _Level:
    values: Mapping[str, object]
    source: str
    override_id: str | None = None
    forbids: bool = True  # whether its retry.enabled: false is a word against any retry

    def value(self, key: str) -> Value:
        return Value(self.values[key], self.source, self.override_id)


def resolve(
    *,
    rulebook: Rulebook,
    overrides: Sequence[Override],
    workflow: str,
    vendor: str,
    error_code: str,
    category: str,
    environment: Mapping[str, object] | None = None,
) -> Effective:
    """Every value in force for this failure. `category` is the classifier's; a rule's outranks it.

    Unknown or empty names are fine: their level then says nothing.
    """
    targets = {"workflow": workflow, "vendor": vendor, "code": error_code, "tenant": ""}
    code = rulebook.codes.get(error_code)
    chosen = _category(_in_force(overrides, targets), code, category)
    asked = _in_force(overrides, {**targets, "category": str(chosen.value)})
    levels = [
        *_named_levels(rulebook, asked, vendor=vendor, code=code, category=str(chosen.value)),
        *_default_levels(rulebook, vendor=vendor, environment=environment or {}),
    ]
    values = {key: _strongest(levels, key) for key in _keys(levels)}
    values["category"] = chosen
    values["retry.enabled"] = _may_retry(rulebook, asked, levels, code, chosen)
    if not values["retry.enabled"].value:
        # Nobody who forgets to look at `enabled` shall find attempts left.
        values["retry.max_retries"] = replace(values["retry.enabled"], value=0)
    return Effective(MappingProxyType(values))


def _in_force(overrides: Sequence[Override], targets: Mapping[str, str]) -> dict[str, _Level]:
    """Scope -> the newest override that is about this failure, cut to what its scope may tune."""
    newest: dict[str, Override] = {}
    for override in sorted(overrides, key=lambda each: (each.version, each.id)):
        if override.scope == "tenant" or targets.get(override.scope) == override.target != "":
            newest[override.scope] = override
    return {
        scope: _Level(
            {k: v for k, v in each.values.items() if k in FIELDS and may_tune(scope, k)},
            each.source,
            each.id,
        )
        for scope, each in newest.items()
    }


def _category(asked: Mapping[str, _Level], code: CodeRule | None, classified: str) -> Value:
    for scope in ("workflow", "vendor", "code"):
        if scope in asked and "category" in asked[scope].values:
            return asked[scope].value("category")
    if code is not None and code.category is not None:
        return _code_level(code).value("category")
    return Value(classified, "classification")


def _named_levels(
    rulebook: Rulebook,
    asked: Mapping[str, _Level],
    *,
    vendor: str,
    code: CodeRule | None,
    category: str,
) -> Iterator[_Level]:
    yield from _override(asked, "workflow")
    yield from _override(asked, "vendor")
    if vendor in rulebook.vendors and vendor != DEFAULT:
        yield _Level(rulebook.vendors[vendor].values, f"vendor {vendor} in {VENDORS_FILE}")
    yield from _override(asked, "code")
    if code is not None:
        yield _code_level(code)
        yield from _policy(rulebook, code.retry_policy, f"policy {code.retry_policy}")
    yield from _override(asked, "category")
    # A policy that the code names stands in for its category's, also when that one forbids.
    takes_part = code is None or code.retry_policy is None
    yield from _policy(rulebook, category, f"category {category}", forbids=takes_part)
    yield from _override(asked, "tenant")


def _default_levels(
    rulebook: Rulebook, *, vendor: str, environment: Mapping[str, object]
) -> Iterator[_Level]:
    for variable, key in _ENVIRONMENT.items():
        speaks = key.startswith("limits.") or vendor not in rulebook.vendors
        if variable in environment and speaks:
            yield _Level({key: environment[variable]}, f"{variable} in the environment")
    if DEFAULT in rulebook.vendors:
        vendor_values = rulebook.vendors[DEFAULT].values
        yield _Level(vendor_values, f"default in {VENDORS_FILE}", forbids=False)
    yield from _policy(rulebook, DEFAULT, DEFAULT, forbids=False)
    yield _Level(_BUILT_IN, "built-in default", forbids=False)


def _override(asked: Mapping[str, _Level], scope: str) -> Iterator[_Level]:
    if scope in asked:
        yield asked[scope]


def _code_level(code: CodeRule) -> _Level:
    return _Level(code.values, f"code {code.name} in {CODES_FILE}")


def _policy(
    rulebook: Rulebook, name: str | None, title: str, *, forbids: bool = True
) -> Iterator[_Level]:
    if name is not None and name in rulebook.policies:
        values = rulebook.policies[name].values
        yield _Level(values, f"{title} in {POLICIES_FILE}", forbids=forbids)


def _keys(levels: Sequence[_Level]) -> list[str]:
    return sorted({key for level in levels for key in level.values})


def _strongest(levels: Sequence[_Level], key: str) -> Value:
    return next(level.value(key) for level in levels if key in level.values)


def _may_retry(
    rulebook: Rulebook,
    asked: Mapping[str, _Level],
    levels: Sequence[_Level],
    code: CodeRule | None,
    category: Value,
) -> Value:
    """1. Any level's no. 2. A rule about this very code says yes. 3. What its category says."""
    for level in levels:
        if level.forbids and level.values.get("retry.enabled") is False:
            return level.value("retry.enabled")
    certain = _yes_of_code(rulebook, asked, code)
    if certain is not None:
        return certain
    policy = next(_policy(rulebook, str(category.value), f"category {category.value}"), None)
    if category.value == UNKNOWN or policy is None:
        return Value(
            False, f"no rule says that a failure of category {category.value} may be retried"
        )
    return Value(True, policy.source)


def _yes_of_code(
    rulebook: Rulebook, asked: Mapping[str, _Level], code: CodeRule | None
) -> Value | None:
    """A rule match is certain: it holds also where the classifier could tell no category."""
    if "code" in asked and asked["code"].values.get("retry.enabled") is True:
        return asked["code"].value("retry.enabled")
    if code is None:
        return None
    if code.values.get("retry.enabled") is True:
        return _code_level(code).value("retry.enabled")
    named = next(_policy(rulebook, code.retry_policy, f"policy {code.retry_policy}"), None)
    return None if named is None else named.value("retry.enabled")


def _value_as_json(value: Value) -> dict[str, Any]:
    shown = {"value": value.value, "source": value.source}
    return shown if value.override_id is None else {**shown, "override_id": value.override_id}
