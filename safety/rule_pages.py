"""The only place that words rules for the console: values in force, rules in short, versions of one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from uuid import UUID

from django.urls import reverse

from safety import rule_texts, rules
from safety.models import RuleOverride
from safety.rule_texts import Values
from safety.rules import Compared

VERSIONS_SHOWN = 50
SCOPE_OF = {
    "workflow": "workflow",
    "vendor": "vendor",
    "error_code": "code",
    "category": "category",
}


@dataclass(frozen=True)
class ValueLine:
    """One value in force; `override` is empty where the tenant says nothing about it."""

    name: str
    value: str
    source: str
    default: str
    override: str
    override_url: str


@dataclass(frozen=True)
class Link:
    title: str
    url: str


@dataclass(frozen=True)
class RuleLine:
    """A rule in short: what its newest version sets."""

    title: str
    url: str
    version: int
    says: str
    author: str
    at: datetime


@dataclass(frozen=True)
class VersionLine:
    """One version; `revert_url` for the one in force, where somebody may."""

    id: UUID
    version: int
    author: str
    reason: str
    at: datetime
    differences: tuple[str, ...]
    is_newest: bool
    revert_url: str
    tried: "Tried | None" = None


@dataclass(frozen=True)
class RulePage:
    """One rule: what it sets now, and how that came to be. Version 0 is none."""

    scope: str
    target: str
    title: str
    version: int
    sets: tuple[tuple[str, str], ...]
    versions: tuple[VersionLine, ...]
    is_cut: bool


@dataclass(frozen=True)
class Earned:
    """How far the rule's retries go by themselves; `offers` is the step that is offered, empty for none."""

    mode: str
    says: str
    offers: str
    promote_url: str


@dataclass(frozen=True)
class Tried:
    """What a version would have made of the days before it was saved."""

    url: str
    says: str


OfVersion = Callable[[int, Values], Tried | None]


@dataclass(frozen=True)
class RulesAbove:
    """What the layer above knows of a rule: the routes pass it in."""

    earned: Callable[[UUID, str, str], Earned] | None = None
    tried: Callable[[UUID, str, str], OfVersion] | None = None
    simulate_url: object = ""  # what tries the form on the last days; a lazy URL


NOTHING_ABOVE = RulesAbove()


def url_of(scope: str, target: str) -> str:
    if scope == rule_texts.TENANT:
        return reverse("rules:of-tenant")
    return reverse("rules:versions", args=[scope, target])


def value_lines(tenant_id: UUID, asked: dict[str, str]) -> tuple[ValueLine, ...]:
    return tuple(_value_line(each) for each in rules.compared(tenant_id=tenant_id, **asked))


def about(asked: dict[str, str]) -> tuple[Link, ...]:
    """The rules that a person could tune for this failure, the strongest first."""
    named = [(SCOPE_OF[name], text) for name, text in asked.items() if text]
    pairs = [(scope, text) for scope, text in named if _may_be(scope, text)]
    return tuple(
        Link(rule_texts.title(scope, target), url_of(scope, target))
        for scope, target in [*pairs, (rule_texts.TENANT, "")]
    )


def rule_lines(tenant_id: UUID) -> tuple[RuleLine, ...]:
    return tuple(
        RuleLine(
            title=rule_texts.title(row.scope, row.target),
            url=url_of(row.scope, row.target),
            version=row.version,
            says=rule_texts.said(row.values),
            author=row.author,
            at=row.created_at,
        )
        for row in rules.latest(tenant_id)
    )


def rule_page(
    tenant_id: UUID,
    *,
    scope: str,
    target: str,
    may_change: bool,
    above: RulesAbove = NOTHING_ABOVE,
) -> RulePage:
    found = rules.versions(tenant_id, scope=scope, target=target)
    rows = list(found[: VERSIONS_SHOWN + 1])
    newest = rows[0] if rows else None
    tried = above.tried(tenant_id, scope, target) if above.tried else None
    sets = sorted(newest.values.items()) if newest else []
    lines = [
        _version_line(row, older, is_newest=row is newest, may_change=may_change, tried=tried)
        for row, older in zip_longest(rows, rows[1:])
    ]
    return RulePage(
        scope=scope,
        target=target,
        title=rule_texts.title(scope, target),
        version=newest.version if newest else 0,
        sets=tuple((key, rule_texts.typed(value)) for key, value in sets),
        versions=tuple(lines[:VERSIONS_SHOWN]),
        is_cut=len(rows) > VERSIONS_SHOWN,
    )


def _value_line(compared: Compared) -> ValueLine:
    override = compared.override
    return ValueLine(
        name=compared.name,
        value=rule_texts.typed(compared.in_force.value),
        source=compared.in_force.source,
        default=rule_texts.typed(compared.default.value if compared.default else None),
        override=rule_texts.typed(compared.in_force.value) if override else "",
        override_url=url_of(override.scope, override.target) if override else "",
    )


def _version_line(
    row: RuleOverride,
    older: RuleOverride | None,
    *,
    is_newest: bool,
    may_change: bool,
    tried: OfVersion | None,
) -> VersionLine:
    return VersionLine(
        id=row.pk,
        version=row.version,
        author=row.author,
        reason=row.reason,
        at=row.created_at,
        differences=tuple(rule_texts.differences(older.values if older else {}, row.values)),
        is_newest=is_newest,
        revert_url=reverse("rules:revert", args=[row.pk]) if is_newest and may_change else "",
        tried=tried(row.version, row.values) if tried else None,
    )


def _may_be(scope: str, target: str) -> bool:
    try:
        rule_texts.target_of(scope, target)
    except ValueError:
        return False
    return True
