"""The only place that turns the three YAML files of a rulebook into rules."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from safety.rulefields import (
    CATEGORIES,
    CODE,
    DESCRIPTION,
    FIELDS,
    NAME,
    UNKNOWN,
    Field,
    ValuesRefused,
    contradiction_of,
    validate_values,
)
from safety.ruletypes import (
    BreakerPolicy,
    CodeRule,
    PolicyRule,
    RateLimit,
    RetryPolicy,
    Rulebook,
    VendorRule,
)
from safety.strict_yaml import Node, Problem, Scalar, Table, read

__all__ = [
    "BreakerPolicy",
    "CodeRule",
    "PolicyRule",
    "Problem",
    "RateLimit",
    "RetryPolicy",
    "Rulebook",
    "RulebookError",
    "ValuesRefused",
    "VendorRule",
    "load",
    "shipped",
    "validate_values",
]

CODES_FILE: Final = "error_codes.yaml"
POLICIES_FILE: Final = "retry_policies.yaml"
VENDORS_FILE: Final = "vendor_config.yaml"
DEFAULT: Final = "default"  # the policy and the vendor that speak when nobody else does
REQUIRED_POLICIES: Final = (
    *(category for category in CATEGORIES if category != UNKNOWN),
    DEFAULT,
    "exponential_backoff",
    "no_retry",
)


class RulebookError(Exception):
    """The rulebook does not hold; `problems` has all of them, each with file and line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def shipped() -> Path:
    return Path(__file__).parent / "rulebook"


def load(directory: Path) -> Rulebook:
    """The rules in the three files of `directory`; raises RulebookError with every problem."""
    problems: list[Problem] = []
    codes = _section(directory / CODES_FILE, "error_codes", _code, problems)
    policies = _section(directory / POLICIES_FILE, "retry_policies", _policy, problems)
    vendors = _section(directory / VENDORS_FILE, "vendors", _vendor, problems)
    problems += _unmet_references(codes, policies)
    problems += _missing(POLICIES_FILE, "policy", REQUIRED_POLICIES, policies)
    problems += _missing(VENDORS_FILE, "vendor", (DEFAULT,), vendors)
    if problems:
        raise RulebookError(sorted(problems, key=lambda problem: (problem.file, problem.line)))
    return Rulebook(
        MappingProxyType(codes),
        MappingProxyType(policies),
        MappingProxyType(vendors),
        digest=_digest(directory),
    )


def _digest(directory: Path) -> str:
    texts = [(directory / name).read_bytes() for name in (CODES_FILE, POLICIES_FILE, VENDORS_FILE)]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]


# The schema: key in the file -> dotted name (a table below it for nested ones).
Keys = Mapping[str, "str | Keys"]
_POLICY_KEYS: Final[Keys] = {
    **{name.removeprefix("retry."): name for name in FIELDS if name.startswith("retry.")},
    "mode": "mode",
}
_CODE_KEYS: Final[Keys] = {
    "severity": "severity",
    "category": "category",
    "description": "description",
    "retry": "retry.enabled",
    "retry_policy": "retry_policy",
    "max_retries": "retry.max_retries",
    "mode": "mode",
}
_VENDOR_KEYS: Final[Keys] = {
    "circuit_breaker": {
        name.removeprefix("breaker."): name for name in FIELDS if name.startswith("breaker.")
    },
    "retry_policy": _POLICY_KEYS,
    "timeout_seconds": "timeout_seconds",
    "rate_limits": {
        "requests_per_second": "rate_limit.requests_per_second",
        "burst_size": "rate_limit.burst_size",
    },
}
_FILE_FIELDS: Final[Mapping[str, Field]] = {
    **FIELDS,
    "retry_policy": NAME,
    "description": DESCRIPTION,
}


@dataclass
class _Entry:
    """One named entry while it is read; what is wrong goes to `problems`, the rest is kept."""

    name: str
    file: str
    line: int
    problems: list[Problem]
    values: dict[str, object] = field(default_factory=dict)

    def refuse(self, line: int, message: str) -> None:
        self.problems.append(Problem(self.file, line, f"{self.name}: {message}"))


Rule = TypeVar("Rule", CodeRule, PolicyRule, VendorRule)


def _section(
    path: Path, heading: str, build: Callable[[_Entry, Table], Rule], problems: list[Problem]
) -> dict[str, Rule]:
    """The entries under the file's one heading, built one by one."""
    root, found = read(path)
    problems += found
    if root is None:
        return {}
    for key in root.entries:
        if key != heading:
            line = root.lines[key]
            problems.append(Problem(path.name, line, f"unknown key {key[:80]}; use {heading}"))
    section = root.entries.get(heading)
    if not isinstance(section, Table) or not section.entries:
        line = root.line if section is None else section.line
        problems.append(Problem(path.name, line, f"{heading} must be a table of names"))
        return {}
    rules = {}
    for name, node in section.entries.items():
        entry = _Entry(name[:80], path.name, section.lines[name], problems)
        if isinstance(node, Table):
            rules[name] = build(entry, node)
        else:
            entry.refuse(node.line, "must be a table of keys and values")
    return rules


def _code(entry: _Entry, table: Table) -> CodeRule:
    _read(entry, table, _CODE_KEYS, name=CODE, required="severity")
    policy = entry.values.pop("retry_policy", None)
    description = str(entry.values.pop("description", ""))
    name = None if policy is None else str(policy)
    return CodeRule(entry.name, entry.line, MappingProxyType(entry.values), name, description)


def _policy(entry: _Entry, table: Table) -> PolicyRule:
    _read(entry, table, _POLICY_KEYS, name=NAME, required="enabled")
    return PolicyRule(entry.name, entry.line, MappingProxyType(entry.values))


def _vendor(entry: _Entry, table: Table) -> VendorRule:
    _read(entry, table, _VENDOR_KEYS, name=NAME)
    return VendorRule(entry.name, entry.line, MappingProxyType(entry.values))


def _read(entry: _Entry, table: Table, keys: Keys, *, name: Field, required: str = "") -> None:
    try:
        name.parse(entry.name)
    except ValueError as refused:
        entry.refuse(entry.line, f"the name {refused}")
    if required and required not in table.entries:
        entry.refuse(entry.line, f"{required} is missing")
    _read_table(entry, table, keys)
    contradiction = contradiction_of(entry.values)
    if contradiction is not None:
        entry.refuse(entry.line, f"initial_delay_ms {contradiction}")


def _read_table(entry: _Entry, table: Table, keys: Keys) -> None:
    for key, node in table.entries.items():
        target = keys.get(key)
        if target is None:
            known = ", ".join(keys)
            entry.refuse(table.lines[key], f"unknown key {key[:80]}; known are {known}")
        elif isinstance(target, str):
            _read_value(entry, key, node, target)
        elif isinstance(node, Table):
            _read_table(entry, node, target)
        else:
            entry.refuse(table.lines[key], f"{key} must be a table of keys and values")


def _read_value(entry: _Entry, key: str, node: Node, target: str) -> None:
    try:
        entry.values[target] = _value(_FILE_FIELDS[target], node)
    except ValueError as refused:
        entry.refuse(node.line, f"{key} {refused}")


def _value(kind: Field, node: Node) -> object:
    if not isinstance(node, Scalar):
        raise ValueError("must be one value, not a list or table")
    if node.is_quoted and not kind.is_text:
        raise ValueError(f'must be written without quotes; "{node.text[:80]}" is text')
    if kind.is_text and node.type_name != "str":
        # `on`, `1_000`, `2026-01-01`: YAML would hand over something that is not this text.
        raise ValueError(
            f"must be text: YAML reads {node.text[:80]!r} as {node.type_name}, quote it"
        )
    return kind.parse(node.text)


def _unmet_references(
    codes: Mapping[str, CodeRule], policies: Mapping[str, PolicyRule]
) -> list[Problem]:
    if not policies:  # that file did not load: every reference to it would look wrong
        return []
    return [
        Problem(CODES_FILE, code.line, f"{code.name}: no retry policy is named {code.retry_policy}")
        for code in codes.values()
        if code.retry_policy is not None and code.retry_policy not in policies
    ]


def _missing(
    file: str, kind: str, required: Iterable[str], present: Mapping[str, object]
) -> list[Problem]:
    if not present:  # said already: the file has no table of names, or nothing readable in it
        return []
    return [
        Problem(file, 0, f"the {kind} {name} is missing")
        for name in required
        if name not in present
    ]
