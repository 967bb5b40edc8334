"""The only place that writes a tenant's rules as people read and type them, and reads that text again."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import yaml

from safety.rulefields import CATEGORIES, CODE, NAME, SCOPES, Choice, Field, ValuesRefused
from safety.rulefields import validate_values as _accepted
from safety.strict_yaml import Node, Problem, Scalar, Table, read, read_text

HEADING: Final = "overrides"
TENANT: Final = "tenant"
Values = Mapping[str, object]
Rules = Mapping[tuple[str, str], Values]  # (scope, target) -> what it sets
_TARGETS: Final[Mapping[str, Field]] = {"code": CODE, "category": Choice(CATEGORIES)}


class DocumentRefused(Exception):
    """The file does not hold; `problems` has all of them, each with file and line."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line)
        super().__init__("\n".join(map(str, self.problems)))


def typed(value: object) -> str:
    """A rule's value as people type it; a dash where nothing is set."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    return plain(value) if isinstance(value, float) else str(value)


def plain(number: float) -> str:
    """In plain digits, as a rule is read: no exponent, at most twelve decimals, and at least one."""
    text = format(round(Decimal(repr(number)), 12), "f").rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def title(scope: str, target: str) -> str:
    return "the whole tenant" if scope == TENANT else f"{scope} {target}"


def said(values: Values) -> str:
    """What a version sets, in one line."""
    return ", ".join(f"{key}: {typed(value)}" for key, value in sorted(values.items())) or "nothing"


def differences(before: Values, after: Values) -> list[str]:
    """What one version changes against the one before, a line a value."""
    changed = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    return [f"{key}: {typed(before.get(key))} → {typed(after.get(key))}" for key in changed]


def target_of(scope: str, text: str) -> str:
    """What a rule of this scope may be about. Raises ValueError in words."""
    if scope == TENANT:
        if text:
            raise ValueError("A rule of the whole tenant has no target.")
        return ""
    try:
        return str(_TARGETS.get(scope, NAME).check(text))
    except ValueError as refused:
        raise ValueError(f"This {refused}.") from None


class _Dumper(yaml.SafeDumper):
    """Sorted, one value a line, numbers in plain digits: the same rules are the same bytes."""


_Dumper.add_representer(
    float,
    lambda dumper, number: dumper.represent_scalar("tag:yaml.org,2002:float", plain(number)),
)


def document(rules: Rules) -> str:
    """The rules as YAML. What sets nothing is left out."""
    scopes: dict[str, Any] = {}
    for (scope, target), values in rules.items():
        if not values:
            continue
        if scope == TENANT:
            scopes[scope] = dict(values)
        else:
            scopes.setdefault(scope, {})[target] = dict(values)
    return yaml.dump({HEADING: scopes}, Dumper=_Dumper, sort_keys=True, default_flow_style=False)


def parsed(path: Path) -> dict[tuple[str, str], Values]:
    """The rules that a file sets. Raises DocumentRefused with every problem of the whole file."""
    return _parsed(*read(path), path.name)


def parsed_text(text: str) -> dict[tuple[str, str], Values]:
    """The same of a document that was sent."""
    name = "document"
    return _parsed(*read_text(text.encode(errors="surrogatepass"), name), name)


def _parsed(
    root: Table | None, problems: list[Problem], name: str
) -> dict[tuple[str, str], Values]:
    reading = _Reading(name, problems)
    found = dict(reading.rules(root)) if root is not None else {}
    if reading.problems:
        raise DocumentRefused(reading.problems)
    return found


class _Reading:
    """One pass over a file; what is wrong goes to `problems`, the rest is kept."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file, self.problems = file, problems

    def rules(self, root: Table) -> Iterator[tuple[tuple[str, str], Values]]:
        for key in root.entries:
            if key != HEADING:
                self._refuse(root.lines[key], f"unknown key {key[:80]}; use {HEADING}")
        scopes = self._table(root.entries.get(HEADING), root.line, HEADING)
        for scope, node in scopes.entries.items():
            line = scopes.lines[scope]
            if scope not in SCOPES:
                known = ", ".join(SCOPES)
                self._refuse(line, f"unknown key {scope[:80]}; known are {known}")
            elif scope == TENANT:
                yield (scope, ""), self._values(scope, self._table(node, line, scope), scope)
            else:
                yield from self._targets(scope, self._table(node, line, scope))

    def _targets(self, scope: str, table: Table) -> Iterator[tuple[tuple[str, str], Values]]:
        for target, node in table.entries.items():
            line, name = table.lines[target], f"{scope} {target[:80]}"
            try:
                target_of(scope, target)
            except ValueError as refused:
                self._refuse(line, f"{name}: {refused}")
            yield (scope, target), self._values(scope, self._table(node, line, name), name)

    def _values(self, scope: str, table: Table, name: str) -> Values:
        texts: dict[str, str] = {}
        for key, node in table.entries.items():
            if isinstance(node, Scalar):
                texts[key] = node.text
            else:
                self._refuse(
                    node.line, f"{name}: {key[:80]} must be one value, not a list or table"
                )
        try:
            return _accepted(scope, texts)
        except ValuesRefused as refused:
            for key, message in refused.errors.items():
                line = table.lines.get(key, table.line)
                self._refuse(line, f"{name}: {key[:80]} {message}")
        return {}

    def _table(self, node: Node | None, line: int, name: str) -> Table:
        if isinstance(node, Table):
            return node
        self._refuse(line, f"{name} must be a table of keys and values")
        return Table({}, {}, line)

    def _refuse(self, line: int, message: str) -> None:
        self.problems.append(Problem(self.file, line, message))
