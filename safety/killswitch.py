"""The only writer and reader of kill switches: they park actions, they never refuse evidence.

Starting an action takes the shared advisory lock of every scope it falls under; activating takes the exclusive
lock of its scope. So once an activation has committed, no start that did not see it can commit (G9). Reading the
flags is a statement of its own after the locks: it needs a snapshot taken when they are held.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from safety.models import GlobalKillSwitch, KillSwitch, SwitchRelease
from safety.states import SwitchScope
from safety.switch_models import RELEASE_PER_SECOND
from tenants import journal
from tenants.journal import Actor
from tenants.models import Tenant

_SHARED = """
select pg_advisory_xact_lock_shared(hashtextextended(scope, 0))
from unnest(%s::text[]) with ordinality as scopes (scope, place) order by place
"""
_EXCLUSIVE = "select pg_advisory_xact_lock(hashtextextended(%s, 0))"
_GLOBAL = "switch:global"
# Every page and every start asks.
_ACTIVE = """
select id, 'global' as scope, '' as target, reason, activated_by, activated_at, expires_at, 0 as place
from safety_globalkillswitch where lifted_at is null and (expires_at is null or expires_at > %(now)s)
union all
select id, scope, target, reason, activated_by, activated_at, expires_at, 1
from safety_killswitch
where tenant_id = %(tenant)s and lifted_at is null and (expires_at is null or expires_at > %(now)s)
order by place, activated_at, id
"""


# Telling people is never held by a wide switch: an operator who stops the machine still wants to hear of it.
TELLING = frozenset({"escalate", "notify", "ticket"})


class AlreadyActive(Exception):
    """The same scope and target is held already."""


@dataclass(frozen=True)
class Scopes:
    """What an action falls under."""

    tenant_id: UUID
    action_type: str
    workflow_id: UUID | None = None
    vendor_id: UUID | None = None

    def pairs(self) -> list[tuple[str, str]]:
        """(scope, target), always in this order: locks are taken in it."""
        if self.action_type in TELLING:
            return [(str(SwitchScope.ACTION_TYPE), self.action_type)]
        held = [(str(SwitchScope.TENANT), "")]
        if self.workflow_id:
            held.append((str(SwitchScope.WORKFLOW), str(self.workflow_id)))
        if self.vendor_id:
            held.append((str(SwitchScope.VENDOR), str(self.vendor_id)))
        return [*held, (str(SwitchScope.ACTION_TYPE), self.action_type)]


@dataclass(frozen=True)
class Held:
    """An active switch, as gates and pages show it."""

    id: UUID
    scope: str
    target: str
    reason: str
    by: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True)
class Ended:
    """A switch that held something and does not any more."""

    id: UUID
    at: datetime


def lock_all(several: Collection[Scopes]) -> None:
    """Before `lock_and_read` of more than one: two that took the same scopes in another order would wait for ever."""
    ranks = list(SwitchScope)
    pairs = {
        (ranks.index(SwitchScope(scope)), target)
        for one in several
        for scope, target in one.pairs()
    }
    [tenant_id] = {one.tenant_id for one in several}
    names = [_GLOBAL, *(_name(tenant_id, ranks[rank], target) for rank, target in sorted(pairs))]
    with connection.cursor() as cursor:
        cursor.execute(_SHARED, [names])


def lock_and_read(scopes: Scopes, *, now: datetime) -> list[Held]:
    """The switches that hold this action; until the transaction ends none can be added."""
    with connection.cursor() as cursor:
        names = [_GLOBAL, *(_name(scopes.tenant_id, *pair) for pair in scopes.pairs())]
        cursor.execute(_SHARED, [names])
    return holding(scopes, now=now)


def holding(scopes: Scopes, *, now: datetime) -> list[Held]:
    """The same without locks, for pages and for releasing what is parked."""
    over = set(scopes.pairs())
    if scopes.action_type not in TELLING:
        over.add(("global", ""))
    return [held for held in active(scopes.tenant_id, now=now) if (held.scope, held.target) in over]


def ended_last(scopes: Scopes, *, now: datetime) -> Ended | None:
    """The switch over these scopes that let go last, by hand or by its end: what it held comes back at its pace."""
    over = KillSwitch.objects.for_tenant(scopes.tenant_id).filter(_over(scopes))
    everywhere = GlobalKillSwitch.objects.none()
    if scopes.action_type not in TELLING:
        everywhere = GlobalKillSwitch.objects.all()
    found = [
        Ended(*row)
        for switches in (over, everywhere)
        for row in switches.exclude(_active(now))
        .annotate(ended_at=Coalesce(F("lifted_at"), F("expires_at")))
        .order_by("-ended_at", "-id")
        .values_list("pk", "ended_at")[:1]
    ]
    return max(found, key=lambda ended: ended.at, default=None)


def active(tenant_id: UUID, *, now: datetime) -> list[Held]:
    """Every switch that is on for the tenant, the global one first."""
    with connection.cursor() as cursor:
        cursor.execute(_ACTIVE, {"tenant": tenant_id, "now": now})
        return [Held(*row[:-1]) for row in cursor.fetchall()]


def activate(
    *,
    tenant_id: UUID,
    scope: str,
    target: str,
    reason: str,
    expires_at: datetime | None,
    by: Actor,
    now: datetime,
) -> KillSwitch:
    """Hold the scope. Raises AlreadyActive. When this commits, no new attempt in the scope can start."""
    with connection.cursor() as cursor:
        cursor.execute(_EXCLUSIVE, [_name(tenant_id, scope, target)])
    mine = KillSwitch.objects.for_tenant(tenant_id).filter(scope=scope, target=target)
    for stale in mine.filter(lifted_at=None, expires_at__lte=now):
        _close(stale, by_label="expiry", reason="expired", now=now)
    if mine.filter(lifted_at=None).exists():
        raise AlreadyActive
    switch: KillSwitch = KillSwitch.objects.create(
        tenant_id=tenant_id,
        scope=scope,
        target=target,
        reason=reason,
        expires_at=expires_at,
        activated_at=now,
        activated_by=by.label,
    )
    journal.record(
        switch,
        "kill_switch_activated",
        by=by,
        at=now,
        scope=scope,
        target=target,
        reason=reason,
        expires_at=expires_at.isoformat() if expires_at else None,
    )
    return switch


def lift(
    switch: KillSwitch,
    *,
    reason: str,
    by: Actor,
    now: datetime,
    release_per_second: int = RELEASE_PER_SECOND,
) -> KillSwitch:
    """Let the scope go; the next sweep gives what is parked its turns. Lifting twice is a quiet no-op."""
    mine = KillSwitch.objects.for_tenant(switch.tenant_id)
    locked: KillSwitch = mine.select_for_update().get(pk=switch.pk)
    if locked.lifted_at is None:
        _close(locked, by_label=by.label, reason=reason, now=now)
        _pace([switch.tenant_id], locked.pk, release_per_second, now=now)
        journal.record(
            locked,
            "kill_switch_lifted",
            by=by,
            at=now,
            scope=locked.scope,
            target=locked.target,
            reason=reason,
            release_per_second=release_per_second,
        )
    return locked


def activate_global(
    *, reason: str, expires_at: datetime | None, by: Actor, now: datetime
) -> GlobalKillSwitch:
    """Hold everything of everybody; needs a platform block. Raises AlreadyActive."""
    with connection.cursor() as cursor:
        cursor.execute(_EXCLUSIVE, [_GLOBAL])
    GlobalKillSwitch.objects.filter(lifted_at=None, expires_at__lte=now).update(
        lifted_at=now, lifted_by="expiry", lift_reason="expired"
    )
    if GlobalKillSwitch.objects.filter(lifted_at=None).exists():
        raise AlreadyActive
    switch = GlobalKillSwitch.objects.create(
        reason=reason, expires_at=expires_at, activated_at=now, activated_by=by.label
    )
    journal.record_platform(
        subject_type="globalkillswitch",
        subject_id=switch.pk,
        verb="kill_switch_activated",
        by=by,
        at=now,
        reason=reason,
    )
    return switch


def lift_global(
    switch: GlobalKillSwitch,
    *,
    reason: str,
    by: Actor,
    now: datetime,
    release_per_second: int = RELEASE_PER_SECOND,
) -> None:
    """Let everything go, each tenant's own at this pace; needs a platform block. Lifting twice is a quiet no-op."""
    lifted = GlobalKillSwitch.objects.filter(pk=switch.pk, lifted_at=None).update(
        lifted_at=now, lifted_by=by.label, lift_reason=reason
    )
    if lifted:
        tenant_ids = list(Tenant.objects.values_list("pk", flat=True))
        _pace(tenant_ids, switch.pk, release_per_second, now=now)
        journal.record_platform(
            subject_type="globalkillswitch",
            subject_id=switch.pk,
            verb="kill_switch_lifted",
            by=by,
            at=now,
            reason=reason,
            release_per_second=release_per_second,
        )


def _pace(tenant_ids: list[UUID], switch_id: UUID, per_second: int, *, now: datetime) -> None:
    rows = [
        SwitchRelease(tenant_id=pk, switch_id=switch_id, per_second=per_second, next_at=now)
        for pk in tenant_ids
    ]
    SwitchRelease.objects.bulk_create(rows, ignore_conflicts=True)


def _close(switch: KillSwitch, *, by_label: str, reason: str, now: datetime) -> None:
    switch.lifted_at, switch.lifted_by, switch.lift_reason = now, by_label, reason
    switch.version += 1
    switch.save(update_fields=["lifted_at", "lifted_by", "lift_reason", "version"])


def _over(scopes: Scopes) -> Q:
    wanted = Q(pk__in=[])
    for scope, target in scopes.pairs():
        wanted |= Q(scope=scope, target=target)
    return wanted


def _name(tenant_id: UUID, scope: str, target: str) -> str:
    return f"switch:{tenant_id}:{scope}:{target}"


def _active(now: datetime) -> Q:
    return Q(lifted_at=None) & (Q(expires_at=None) | Q(expires_at__gt=now))
