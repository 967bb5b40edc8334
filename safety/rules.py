"""The only door to the rules in force: the shipped or configured files, and a tenant's overrides over them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, connection, transaction

from safety import checks, effective, rule_texts, rulefields, rulefiles
from safety.effective import Effective, Override, Value
from safety.models import RuleOverride
from safety.ruletypes import Rulebook
from tenants import journal
from tenants.journal import Actor
from tenants.models import Vendor
from tenants.querysets import TenantQuerySet

NO_CATEGORY = "unknown"
# Read at every start and settlement of a retry.
OVERRIDES = """
select scope, target, "values", version, id from safety_ruleoverride where tenant_id = %s
"""


class RuleMoved(Exception):
    """Another version is in force than the one that was looked at: this one would undo somebody's change."""

    def __init__(self, latest: RuleOverride | None, wanted: Mapping[str, object]) -> None:
        self.latest = latest
        moved = "Somebody has changed this rule"
        if latest is not None:
            rule = rule_texts.title(latest.scope, latest.target)
            moved = f"{latest.author} has saved version {latest.version} of the rule for {rule}"
        super().__init__(
            f"{moved} meanwhile. It says {rule_texts.said(latest.values if latest else {})}; "
            f"yours would have said {rule_texts.said(wanted)}."
        )


@dataclass(frozen=True)
class Compared:
    """One value in force beside what it would be without the tenant's overrides."""

    name: str
    in_force: Value
    default: Value | None
    override: Override | None


@cache
def rulebook() -> Rulebook:
    """The files, read once per process. Raises RulebookError, which `manage.py check` shows first."""
    return rulefiles.load(checks.configured_directory())


def environment() -> dict[str, object]:
    """The limits that the environment sets for what no file names."""
    names = (
        "MAX_RETRIES_PER_WORKFLOW",
        "MAX_RETRIES_PER_VENDOR",
        "CIRCUIT_BREAKER_THRESHOLD",
        "CIRCUIT_BREAKER_TIMEOUT_SECONDS",
    )
    return {name: getattr(settings, name) for name in names}


def overrides(tenant_id: UUID) -> list[Override]:
    """Every override of the tenant, all versions; one query."""
    with connection.cursor() as cursor:
        cursor.execute(OVERRIDES, [tenant_id])
        return [
            Override(scope, target, json.loads(values), version, str(pk))
            for scope, target, values, version, pk in cursor.fetchall()
        ]


def effective_for(
    *,
    tenant_id: UUID,
    workflow: str,
    vendor: str,
    error_code: str,
    category: str = NO_CATEGORY,
    known: Sequence[Override] | None = None,
) -> Effective:
    """The values in force for one failure, each with its source. `known` spares the query in a batch."""
    return effective.resolve(
        rulebook=rulebook(),
        overrides=overrides(tenant_id) if known is None else known,
        workflow=workflow,
        vendor=vendor,
        error_code=error_code,
        category=category,
        environment=environment(),
    )


def effective_of_vendor(vendor: Vendor, *, known: Sequence[Override] | None = None) -> Effective:
    """The values in force for a vendor whatever fails: its breaker, its rate limit."""
    return effective_for(
        tenant_id=vendor.tenant_id, workflow="", vendor=vendor.name, error_code="", known=known
    )


def compared(*, tenant_id: UUID, **about: str) -> list[Compared]:
    """Every value for one failure with its default and the override that won it, by name; one query."""
    known = overrides(tenant_id)
    defaults = effective_for(tenant_id=tenant_id, known=(), **about)
    found = effective_for(tenant_id=tenant_id, known=known, **about)
    by_id = {each.id: each for each in known}
    return [
        Compared(name, value, defaults.values.get(name), by_id.get(value.override_id or ""))
        for name, value in sorted(found.values.items())
    ]


def versions(tenant_id: UUID, *, scope: str, target: str) -> TenantQuerySet[RuleOverride]:
    """Every version of one rule, the newest first."""
    mine = RuleOverride.objects.for_tenant(tenant_id).filter(scope=scope, target=target)
    return mine.order_by("-version")


def latest(tenant_id: UUID) -> list[RuleOverride]:
    """The newest version of each rule of the tenant."""
    mine = RuleOverride.objects.for_tenant(tenant_id)
    return list(mine.order_by("scope", "target", "-version").distinct("scope", "target"))


def override(
    *,
    tenant_id: UUID,
    scope: str,
    target: str,
    values: Mapping[str, object],
    reason: str,
    by: Actor,
    now: datetime,
    seen: int | None = None,
) -> RuleOverride:
    """Add the next version of a tenant's differences. Raises ValuesRefused with a message for the person.

    `seen` is the version that was looked at, 0 for none: another one in force raises RuleMoved. Without it
    two writers of one version meet in the unique constraint: the loser's IntegrityError is a conflict.
    """
    accepted = rulefields.validate_values(scope, values)
    mine = versions(tenant_id, scope=scope, target=target)
    newest = mine.first()
    number = newest.version if newest else 0
    if seen is not None and number != seen:
        raise RuleMoved(newest, accepted)
    row = RuleOverride(
        tenant_id=tenant_id,
        scope=scope,
        target=target,
        values=accepted,
        version=number + 1,
        author=by.label,
        reason=reason,
        created_at=now,
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        if seen is None:
            raise
        raise RuleMoved(mine.first(), accepted) from None  # they saved the same number first
    journal.record(
        row, "rule_changed", by=by, at=now, rule=str(row), values=accepted, reason=reason
    )
    return row


def revert(row: RuleOverride, *, by: Actor, now: datetime) -> RuleOverride:
    """Put the version before `row` in force again, as a version of its own. Raises RuleMoved."""
    mine = versions(row.tenant_id, scope=row.scope, target=row.target)
    before = mine.filter(version__lt=row.version).first()
    return override(
        tenant_id=row.tenant_id,
        scope=row.scope,
        target=row.target,
        values=before.values if before else {},
        reason=f"Reverts version {row.version}.",
        by=by,
        now=now,
        seen=row.version,
    )
