"""The only place where autonomy is earned and lost: a rule's retries climb from off to auto, and fall to approve.

A step up is offered once enough retries were verified, and an admin takes it. Two in a row that were not, and what
went by itself waits for people again, at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import connection
from django.db.models import Q

from actions import escalation_plans
from actions.models import Action
from actions.states import ActionType, Verification
from incidents import decisions
from incidents.analysis import recommend
from incidents.analysis.recommend import Tally
from incidents.models import Incident
from safety import blast_radius, rule_texts, rulefields, rules
from safety.effective import Effective, Override
from safety.models import RuleOverride
from safety.rules import RuleMoved
from tenants.journal import SYSTEM, Actor

ENOUGH: Final = 20
SURE: Final = 0.90
IN_A_ROW: Final = 2
LATEST: Final = 100  # judged retries; how it went long ago says little
LOOKED_AT: Final = 5000  # of the tenant's latest actions
JUDGED: Final = (Verification.VERIFIED, Verification.NOT_VERIFIED)

_TURN = "select pg_advisory_xact_lock(hashtextextended('ladder:' || %s, 0))"
_ABOUT: Final[dict[str, Callable[[str], Q]]] = {
    "workflow": lambda target: Q(incident__workflow__slug=target),
    "vendor": lambda target: Q(incident__vendor__name=target),
    "code": lambda target: Q(incident__error_code=target),
    "category": lambda target: Q(incident__category=target),
    "tenant": lambda _: Q(),
}


class NotEarned(Exception):
    """No step up is offered, or not this one any more."""


@dataclass(frozen=True)
class Standing:
    """How far the rule's retries may go by themselves, and what speaks for a step more. `offers` is empty: nothing."""

    mode: str
    n: int
    verified: int
    lower: float | None
    offers: str

    @property
    def says(self) -> str:
        if self.lower is None:
            return f"{self.n} of {recommend.ENOUGH} retries judged since it was last changed: insufficient data"
        return (
            f"{self.verified} of {self.n} retries verified since it was last changed, "
            f"at least {self.lower:.0%}"
        )


def standing(tenant_id: UUID, *, scope: str, target: str) -> Standing:
    mode = _mode(tenant_id, scope, target)
    newest = rules.versions(tenant_id, scope=scope, target=target).first()
    judged = _judged(tenant_id, scope, target, since=newest.created_at if newest else None)
    tally = Tally(sum(each == Verification.VERIFIED for each in judged), len(judged))
    lower = recommend.lower_bound(tally) if tally.n >= recommend.ENOUGH else None
    is_earned = tally.n >= ENOUGH and lower is not None and lower >= SURE
    return Standing(mode, tally.n, tally.worked, lower, _above(mode) if is_earned else "")


def promote(
    tenant_id: UUID, *, scope: str, target: str, to: str, by: Actor, now: datetime
) -> RuleOverride:
    """Take the step that is offered, as a version of the rule. Raises NotEarned, RuleMoved."""
    earned = standing(tenant_id, scope=scope, target=target)
    if not to or earned.offers != to:
        raise NotEarned(f"No step to {to or 'anything'} is offered: {earned.says}.")
    newest = rules.versions(tenant_id, scope=scope, target=target).first()
    return _set(tenant_id, scope, target, newest, to, f"Earned: {earned.says}.", by=by, now=now)


def lose(action: Action, incident: Incident, *, now: datetime) -> RuleOverride | None:
    """After a retry that was not verified: two in a row, and the rule waits for people. None where it need not.

    One at a time in a tenant, so that two that fail together see each other.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TURN, [str(action.tenant_id)])
    tenant_id, known = action.tenant_id, rules.overrides(action.tenant_id)
    in_force = decisions.rules_for(incident, known=known)
    if in_force.mode != "auto":
        return None
    scope, target = _answers(incident, in_force, known)
    newest = rules.versions(tenant_id, scope=scope, target=target).first()
    judged = _judged(tenant_id, scope, target, since=newest.created_at if newest else None)
    if judged[:IN_A_ROW] != [Verification.NOT_VERIFIED] * IN_A_ROW:
        return None
    why = f"{IN_A_ROW} retries in a row were not verified."
    try:
        row = _set(tenant_id, scope, target, newest, "approve", why, by=SYSTEM, now=now)
    except RuleMoved:
        return None  # a person has just changed it, and knows better
    _tell(row, incident, now=now)
    return row


def _set(
    tenant_id: UUID,
    scope: str,
    target: str,
    newest: RuleOverride | None,
    mode: str,
    reason: str,
    *,
    by: Actor,
    now: datetime,
) -> RuleOverride:
    return rules.override(
        tenant_id=tenant_id,
        scope=scope,
        target=target,
        values={**(newest.values if newest else {}), "mode": mode},
        reason=reason,
        by=by,
        now=now,
        seen=newest.version if newest else 0,
    )


def _answers(incident: Incident, in_force: Effective, known: list[Override]) -> tuple[str, str]:
    """Whose word the mode is: the rule that set it, where it speaks of less than everything; else the retry's own."""
    won = next((one for one in known if one.id == in_force.values["mode"].override_id), None)
    if won is not None and won.scope != rule_texts.TENANT:
        return won.scope, won.target
    rule = blast_radius.rule_of(
        error_code=incident.error_code, category=in_force.category, known=known
    )
    return rule.scope, rule.target


def _mode(tenant_id: UUID, scope: str, target: str) -> str:
    about = {"workflow": "", "vendor": "", "code": "", "category": rules.NO_CATEGORY}
    about |= {scope: target} if scope in about else {}
    in_force = rules.effective_for(
        tenant_id=tenant_id,
        workflow=about["workflow"],
        vendor=about["vendor"],
        error_code=about["code"],
        category=about["category"],
    )
    return in_force.mode


def _above(mode: str) -> str:
    place = rulefields.MODES.index(mode)
    return rulefields.MODES[place + 1] if place + 1 < len(rulefields.MODES) else ""


def _judged(tenant_id: UUID, scope: str, target: str, *, since: datetime | None) -> list[str]:
    """Whether each retry about it was verified, the latest first."""
    mine = Action.objects.for_tenant(tenant_id)
    latest = mine.order_by("-id").values("pk")[:LOOKED_AT]
    found = mine.filter(
        _ABOUT[scope](target),
        pk__in=latest,
        action_type=ActionType.RETRY,
        verification__in=JUDGED,
    )
    if since is not None:
        found = found.filter(created_at__gt=since)
    return list(
        found.order_by("-settled_at", "-id").values_list("verification", flat=True)[:LATEST]
    )


def _tell(row: RuleOverride, incident: Incident, *, now: datetime) -> None:
    """Everybody who may act: from now on they are asked."""
    title = rule_texts.title(row.scope, row.target)
    text = (
        f"{row.reason} The latest was for {incident}.\n\n"
        f"Retries by the rule for {title} wait for approval from now on: version {row.version} of it says so. "
        f"When {ENOUGH} are verified again, the step back is offered on the page of the rule.\n"
    )
    escalation_plans.tell_everybody(
        tenant_id=row.tenant_id,
        subject=f"Retries wait for approval: rule for {title}",
        text=text,
        dedupe_key=f"demoted:{row.pk}",
        incident=incident,
        now=now,
    )
