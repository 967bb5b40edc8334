"""The only place that makes a tenant's rules what a document says, and writes that document."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from safety import rule_texts, rules
from safety.models import RuleOverride
from safety.rule_texts import Rules, Values
from safety.rulefields import FIELDS, may_tune
from tenants.journal import Actor


@dataclass(frozen=True)
class Change:
    """The next version of one rule, and what it takes the place of; version 0 is none."""

    scope: str
    target: str
    version: int
    before: Values
    after: Values

    @property
    def title(self) -> str:
        return rule_texts.title(self.scope, self.target)

    @property
    def differences(self) -> list[str]:
        return rule_texts.differences(self.before, self.after)


def exported(tenant_id: UUID) -> str:
    """What the tenant's rules set now, as YAML: the same rules are the same bytes."""
    return rule_texts.document(
        {(row.scope, row.target): _in_force(row) for row in rules.latest(tenant_id)}
    )


def changes(tenant_id: UUID, wanted: Rules) -> list[Change]:
    """What must change so that the tenant's rules set what the document says, and nothing else."""
    now = {(row.scope, row.target): row for row in rules.latest(tenant_id)}
    found = []
    for scope, target in sorted({*now, *wanted}):
        row = now.get((scope, target))
        before: Values = _in_force(row) if row else {}
        after = wanted.get((scope, target), {})
        if dict(before) != dict(after):
            found.append(Change(scope, target, row.version if row else 0, before, after))
    return found


def carry_out(
    tenant_id: UUID, asked: list[Change], *, reason: str, by: Actor, now: datetime
) -> None:
    """All of them or none. Raises RuleMoved if somebody saved another version since they were looked at."""
    with transaction.atomic():
        for change in asked:
            rules.override(
                tenant_id=tenant_id,
                scope=change.scope,
                target=change.target,
                values=change.after,
                reason=reason,
                by=by,
                now=now,
                seen=change.version,
            )


def _in_force(row: RuleOverride) -> Mapping[str, object]:
    """Cut to what counts: a value that no release knows any more could not be read again."""
    return {k: v for k, v in row.values.items() if k in FIELDS and may_tune(row.scope, k)}
