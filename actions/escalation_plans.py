"""The only place that says which policy tells of an incident, and whom a step of it means today."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Prefetch, Q

from actions import outbox
from actions.models import Channel, EscalationPolicy, EscalationStep
from actions.states import DeliveryKind
from incidents.models import Incident
from incidents.states import Severity
from tenants.models import Membership
from tenants.states import Role

Kind = Literal["channel", "person", "role", "everybody"]
EVERYBODY = "everybody who may act"
ONLY_LOOK = (Role.VIEWER, Role.AUDITOR)  # they may not act, so nobody waits for them


@dataclass(frozen=True)
class Step:
    """One target, told `wait_minutes` after the step before; of the first step it is the time between rounds."""

    kind: Kind
    target: str  # id of a channel or person, or a role
    name: str
    wait_minutes: int = 0


@dataclass(frozen=True)
class Plan:
    """A policy as it is now: what an escalation keeps, whatever is edited later."""

    name: str
    steps: tuple[Step, ...]
    repeats: int
    acknowledge_minutes: int | None = None


# Where nobody made a policy: everybody who may act, at once and twice again.
DEFAULT = Plan("", (Step("everybody", "", EVERYBODY, wait_minutes=15),), repeats=2)


def plan_for(incident: Incident) -> Plan:
    """The workflow's own policy before the tenant's, the strictest that the severity reaches, or the default."""
    mine = EscalationPolicy.objects.for_tenant(incident.tenant_id).filter(is_active=True)
    applying = mine.filter(Q(workflow_id=incident.workflow_id) | Q(workflow=None)).order_by("id")
    fitting = [
        policy
        for policy in applying.prefetch_related(_steps_of(incident.tenant_id))
        if _rank(policy.minimum_severity) <= _rank(incident.severity) and policy.steps.all()
    ]
    if not fitting:
        return DEFAULT
    # the oldest of equals: max() keeps the first
    best = max(fitting, key=lambda one: (one.workflow_id is not None, _rank(one.minimum_severity)))
    return _plan(best)


def targets_of(step: Mapping[str, Any], *, tenant_id: UUID) -> list[Channel | User]:
    """Whom a kept step means now; nobody when its channel is off or its person gone."""
    if step["kind"] == "channel":
        mine = Channel.objects.for_tenant(tenant_id).filter(is_active=True)
        return list(mine.filter(pk=step["target"]))
    if step["kind"] == "person":
        return _people(tenant_id, Q(user_id=step["target"]))
    if step["kind"] == "role":
        return _people(tenant_id, Q(role=step["target"]))
    return everybody(tenant_id=tenant_id)


def everybody(*, tenant_id: UUID) -> list[Channel | User]:
    return _people(tenant_id, ~Q(role__in=ONLY_LOOK))


def tell_everybody(
    *,
    tenant_id: UUID,
    subject: str,
    text: str,
    dedupe_key: str,
    incident: Incident,
    now: datetime,
) -> None:
    """A notice to each who may act, once per `dedupe_key`, in the caller's transaction."""
    for person in everybody(tenant_id=tenant_id):
        outbox.tell(
            tenant_id=tenant_id,
            kind=DeliveryKind.NOTICE,
            target=person,
            subject=subject,
            text=text,
            dedupe_key=f"{dedupe_key}:{person.pk}",
            incident=incident,
            now=now,
        )


def names(targets: Iterable[Channel | User]) -> str:
    """Whom that is, in words."""
    said = [str(one) if isinstance(one, Channel) else one.get_username() for one in targets]
    return ", ".join(said)


def _people(tenant_id: UUID, who: Q) -> list[Channel | User]:
    members = Membership.objects.for_tenant(tenant_id).filter(who, user__is_active=True)
    return [member.user for member in members.select_related("user").order_by("user__username")]


def _steps_of(tenant_id: UUID) -> Any:
    steps = EscalationStep.objects.for_tenant(tenant_id).select_related("channel", "user")
    return Prefetch("steps", steps.order_by("position", "id"))


def _plan(policy: EscalationPolicy) -> Plan:
    return Plan(
        name=policy.name,
        steps=tuple(_step(step) for step in policy.steps.all()),
        repeats=policy.repeats,
        acknowledge_minutes=policy.acknowledge_minutes,
    )


def _step(step: EscalationStep) -> Step:
    wait = step.wait_minutes
    if step.channel is not None:
        return Step("channel", str(step.channel.pk), step.channel.name, wait)
    if step.user is not None:
        return Step("person", str(step.user.pk), step.user.get_username(), wait)
    return Step("role", step.role, f"every {Role(step.role).label.lower()}", wait)


def _rank(severity: str) -> int:
    return Severity.values.index(severity)
