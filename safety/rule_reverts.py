"""The only place that takes a rule back: a new version that says what the one before said, if nobody moved it since."""

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from safety import rules
from safety.models import RuleOverride
from tenants.journal import Actor


class RuleMoved(Exception):
    """Another version is in force: reverting this one would undo somebody else's change."""

    def __init__(self, row: RuleOverride, latest: RuleOverride, wanted: dict[str, Any]) -> None:
        super().__init__(
            f"{latest.author} has saved version {latest.version} of {latest} meanwhile. It says "
            f"{_said(latest.values)}; reverting version {row.version} would have put back {_said(wanted)}."
        )


def revert(row: RuleOverride, *, by: Actor, now: datetime) -> RuleOverride:
    """Put the version before `row` in force again, as a version of its own. Raises RuleMoved."""
    mine = RuleOverride.objects.for_tenant(row.tenant_id).filter(scope=row.scope, target=row.target)
    before = mine.filter(version__lt=row.version).order_by("-version").first()
    wanted: dict[str, Any] = before.values if before else {}
    if (latest := mine.order_by("-version")[0]).pk != row.pk:
        raise RuleMoved(row, latest, wanted)
    try:
        with transaction.atomic():
            return rules.override(
                tenant_id=row.tenant_id,
                scope=row.scope,
                target=row.target,
                values=wanted,
                reason=f"Reverts version {row.version}.",
                by=by,
                now=now,
            )
    except IntegrityError:  # somebody saved the same number first
        raise RuleMoved(row, mine.order_by("-version")[0], wanted) from None


def _said(values: dict[str, Any]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in sorted(values.items())) or "nothing"
