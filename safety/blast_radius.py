"""The only place that knows which rule lets a retry go, how much it may set off in an hour, and that stops it there.

A rule is what says yes to a retry: the error code's own where one speaks of it, its category's otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from safety import rules
from safety.effective import Effective, Override
from safety.limit_models import RulePause
from tenants import journal
from tenants.journal import SYSTEM, Actor

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Rule:
    """Its name is what actions and pauses keep: a version of it is still the same rule."""

    scope: str  # code | category
    target: str

    def __str__(self) -> str:
        return f"{self.scope} {self.target}"


@dataclass(frozen=True)
class Standing:
    """How a rule stands: paused and why, or since when what it sets off is counted."""

    paused: str
    since: datetime


def rule_of(*, error_code: str, category: str, known: Sequence[Override]) -> Rule:
    """Which rule answers for a failure. `known`: the tenant's overrides, of which the newest version counts."""
    of_code = [one for one in known if (one.scope, one.target) == ("code", error_code)]
    is_said = bool(of_code and max(of_code, key=lambda one: one.version).values)
    if error_code and (is_said or error_code in rules.rulebook().codes):
        return Rule("code", error_code)
    return Rule("category", category)


def in_force(tenant_id: UUID, rule: Rule, *, category: str, known: Sequence[Override]) -> Effective:
    """What the rule says by itself, whatever the workflow and the vendor: all of its retries share one count."""
    return rules.effective_for(
        tenant_id=tenant_id,
        workflow="",
        vendor="",
        error_code=rule.target if rule.scope == "code" else "",
        category=category,
        known=known,
    )


def standing(tenant_id: UUID, rule: Rule, *, now: datetime) -> Standing:
    """Counted is the last hour, and not what led to a pause that a person ended."""
    mine = RulePause.objects.for_tenant(tenant_id).filter(rule=str(rule))
    last: RulePause | None = mine.order_by("-id").first()
    if last is None:
        return Standing("", now - HOUR)
    if last.resumed_at is None:
        return Standing(last.reason, now - HOUR)
    return Standing("", max(last.resumed_at, now - HOUR))


def paused(tenant_id: UUID) -> list[RulePause]:
    """The rules that wait for a person, newest first."""
    return list(RulePause.objects.for_tenant(tenant_id).filter(resumed_at=None).order_by("-id"))


def pause(tenant_id: UUID, rule: Rule, *, reason: str, now: datetime) -> RulePause | None:
    """Stop it until a person resumes it; None when somebody was first."""
    row = RulePause(tenant_id=tenant_id, rule=str(rule), reason=reason[:300], paused_at=now)
    RulePause.objects.bulk_create([row], ignore_conflicts=True)
    if not RulePause.objects.for_tenant(tenant_id).filter(pk=row.pk).exists():
        return None
    journal.record(row, "rule_paused", by=SYSTEM, at=now, rule=row.rule, reason=row.reason)
    return row


def resume(row: RulePause, *, reason: str, by: Actor, now: datetime) -> RulePause:
    """Let it go by itself again, counted from nothing. What it asked people about meanwhile is theirs still.

    Quiet when it goes already.
    """
    with transaction.atomic():
        mine = RulePause.objects.for_tenant(row.tenant_id).select_for_update()
        held: RulePause = mine.get(pk=row.pk)
        if held.resumed_at is not None:
            return held
        held.resumed_at, held.resumed_by, held.resume_reason = now, by.label, reason
        held.version += 1
        held.save(update_fields=["resumed_at", "resumed_by", "resume_reason", "version"])
        journal.record(held, "rule_resumed", by=by, at=now, rule=held.rule, reason=reason)
    return held
