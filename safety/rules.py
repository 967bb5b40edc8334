"""The only door to the rules in force: the shipped or configured files, and a tenant's overrides over them."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Max

from safety import checks, effective, rulefields, rulefiles
from safety.effective import Effective, Override
from safety.models import RuleOverride
from safety.ruletypes import Rulebook
from tenants import journal
from tenants.journal import Actor
from tenants.models import Vendor

NO_CATEGORY = "unknown"


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
    return [
        Override(row.scope, row.target, row.values, row.version, str(row.id))
        for row in RuleOverride.objects.for_tenant(tenant_id)
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


def effective_of_vendor(vendor: Vendor) -> Effective:
    """The values in force for a vendor whatever fails: its breaker, its rate limit."""
    return effective_for(tenant_id=vendor.tenant_id, workflow="", vendor=vendor.name, error_code="")


def override(
    *,
    tenant_id: UUID,
    scope: str,
    target: str,
    values: dict[str, Any],
    reason: str,
    by: Actor,
    now: datetime,
) -> RuleOverride:
    """Add the next version of a tenant's differences. Raises ValuesRefused with a message for the person.

    Two writers of one version meet in the unique constraint: the loser's IntegrityError is a conflict.
    """
    accepted = rulefields.validate_values(scope, values)
    versions = RuleOverride.objects.for_tenant(tenant_id).filter(scope=scope, target=target)
    latest: int = versions.aggregate(latest=Max("version"))["latest"] or 0
    row: RuleOverride = RuleOverride.objects.create(
        tenant_id=tenant_id,
        scope=scope,
        target=target,
        values=accepted,
        version=latest + 1,
        author=by.label,
        reason=reason,
        created_at=now,
    )
    journal.record(
        row, "rule_changed", by=by, at=now, rule=str(row), values=accepted, reason=reason
    )
    return row
