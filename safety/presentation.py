"""The only place that words kill switches for people: what they hold, until when, who may lift them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from django.urls import reverse

from safety.killswitch import Held
from safety.models import KillSwitch
from safety.previews import LiftPreview
from safety.states import SwitchScope
from tenants.models import Vendor, Workflow


@dataclass(frozen=True)
class SwitchLine:
    id: UUID
    target: str
    reason: str
    by: str
    at: datetime
    expires_at: datetime | None
    n_held: int = 0
    preview: LiftPreview = field(default_factory=LiftPreview)
    lift_url: str = ""
    ended_at: datetime | None = None
    ended_by: str = ""
    lift_reason: str = ""


@dataclass(frozen=True)
class Names:
    """Workflows and vendors by id, for switches that name one."""

    by_id: dict[str, str]

    def of(self, scope: str, target: str) -> str:
        words = {
            "global": "every tenant",
            SwitchScope.TENANT: "everything of this tenant",
            SwitchScope.ACTION_TYPE: f"every {target.replace('_', ' ')}",
        }
        return words.get(scope) or f"{scope} {self.by_id.get(target, target)}"


def names(tenant_id: UUID, switches: Iterable[tuple[str, str]]) -> Names:
    """Look the targets of (scope, target) pairs up: no query where nothing is named."""
    wanted = list(switches)
    workflows = [target for scope, target in wanted if scope == SwitchScope.WORKFLOW]
    vendors = [target for scope, target in wanted if scope == SwitchScope.VENDOR]
    found: dict[str, str] = {}
    if workflows:
        rows = Workflow.objects.for_tenant(tenant_id).filter(pk__in=workflows)
        found |= {str(pk): slug for pk, slug in rows.values_list("pk", "slug")}
    if vendors:
        named = Vendor.objects.for_tenant(tenant_id).filter(pk__in=vendors)
        found |= {str(pk): name for pk, name in named.values_list("pk", "name")}
    return Names(found)


def active_lines(
    tenant_id: UUID,
    held: Sequence[Held],
    *,
    may_lift: bool,
    counts: Mapping[UUID, int] = MappingProxyType({}),
    previews: Mapping[UUID, LiftPreview] = MappingProxyType({}),
) -> tuple[SwitchLine, ...]:
    known = names(tenant_id, [(switch.scope, switch.target) for switch in held])
    return tuple(
        SwitchLine(
            id=switch.id,
            target=known.of(switch.scope, switch.target),
            reason=switch.reason,
            by=switch.by,
            at=switch.since,
            expires_at=switch.until,
            n_held=counts.get(switch.id, 0),
            preview=previews.get(switch.id, LiftPreview()),
            # the global one is the platform's: it is lifted in the administration
            lift_url=reverse("safety:lift", args=[switch.id])
            if may_lift and switch.scope != "global"
            else "",
        )
        for switch in held
    )


def past_lines(tenant_id: UUID, switches: Sequence[KillSwitch]) -> tuple[SwitchLine, ...]:
    known = names(tenant_id, [(switch.scope, switch.target) for switch in switches])
    return tuple(
        SwitchLine(
            id=switch.pk,
            target=known.of(switch.scope, switch.target),
            reason=switch.reason,
            by=switch.activated_by,
            at=switch.activated_at,
            expires_at=switch.expires_at,
            ended_at=switch.lifted_at or switch.expires_at,
            ended_by=switch.lifted_by or "expiry",
            lift_reason=switch.lift_reason,
        )
        for switch in switches
    )
