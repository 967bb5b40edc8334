"""Kill switches: whom they hold, who set them, and that no start slips past one (G9)."""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event as Flag
from uuid import UUID

import pytest

from safety import killswitch
from safety.killswitch import AlreadyActive, Held, Scopes
from safety.models import GlobalKillSwitch, KillSwitch
from tenants import scoping
from tenants.journal import Actor
from tenants.models import PlatformJournalEntry, Tenant, Vendor
from tenants.scoping import bound
from tests.cast import Travel, journal_of
from tests.databases import Owner
from tests.factories import VendorFactory
from tests.threads import PATIENCE_SECONDS, at_once

pytestmark = pytest.mark.django_db

ANN = Actor("user", "1", "ann")
# Fixed: parallel workers must collect the same tests.
WORKFLOW, OTHER_WORKFLOW, VENDOR = (UUID(int=number) for number in (1, 2, 3))
_WAITING = "select count(*) from pg_locks where locktype = 'advisory' and not granted"


def activate(
    tenant: Tenant, scope: str = "tenant", target: str = "", *, minutes: float | None = None
) -> KillSwitch:
    with bound(tenant.pk) as now:
        return killswitch.activate(
            tenant_id=tenant.pk,
            scope=scope,
            target=target,
            reason="stop",
            expires_at=now + timedelta(minutes=minutes) if minutes else None,
            by=ANN,
            now=now,
        )


def activate_global() -> GlobalKillSwitch:
    with scoping.platform() as now:
        return killswitch.activate_global(reason="all", expires_at=None, by=ANN, now=now)


def held(tenant: Tenant, scopes: Scopes) -> list[str]:
    with bound(tenant.pk) as now:
        read = killswitch.lock_and_read(scopes, now=now)
        assert killswitch.holding(scopes, now=now) == read
    return [switch.scope for switch in read]


def retry_of(
    tenant: Tenant, *, workflow: UUID | None = WORKFLOW, vendor: UUID | None = VENDOR
) -> Scopes:
    return Scopes(tenant.pk, "retry", workflow, vendor)


@pytest.mark.parametrize(
    ("scope", "target", "is_held"),
    [
        ("tenant", "", True),
        ("workflow", str(WORKFLOW), True),
        ("workflow", str(OTHER_WORKFLOW), False),
        ("vendor", str(VENDOR), True),
        ("vendor", str(WORKFLOW), False),
        ("action_type", "retry", True),
        ("action_type", "rollback", False),
    ],
)
def test_a_switch_holds_what_falls_under_it_and_nothing_else(
    acme: Tenant, globex: Tenant, scope: str, target: str, is_held: bool
) -> None:
    activate(acme, scope, target)
    assert held(acme, retry_of(acme)) == [scope] * is_held
    assert held(globex, retry_of(globex)) == []


def test_an_action_without_workflow_or_vendor_falls_under_the_rest(acme: Tenant) -> None:
    activate(acme, "workflow", str(WORKFLOW))
    assert held(acme, retry_of(acme, workflow=None, vendor=None)) == []
    activate(acme)
    assert held(acme, retry_of(acme, workflow=None, vendor=None)) == ["tenant"]


def test_the_global_switch_comes_first_and_holds_everybody(acme: Tenant, globex: Tenant) -> None:
    activate(acme)
    activate_global()
    assert held(acme, retry_of(acme)) == ["global", "tenant"]
    assert held(globex, retry_of(globex)) == ["global"]


@pytest.mark.parametrize("telling", sorted(killswitch.TELLING))
def test_people_are_still_told_unless_telling_itself_is_stopped(acme: Tenant, telling: str) -> None:
    activate_global()
    activate(acme)
    assert held(acme, Scopes(acme.pk, telling)) == []
    activate(acme, "action_type", telling)
    assert held(acme, Scopes(acme.pk, telling)) == ["action_type"]


def test_it_says_who_why_and_since_when(acme: Tenant) -> None:
    switch = activate(acme, minutes=10)
    with bound(acme.pk) as now:
        (shown,) = killswitch.active(acme.pk, now=now)
    assert shown == Held(
        switch.pk, "tenant", "", "stop", "ann", switch.activated_at, switch.expires_at
    )
    assert journal_of(acme, switch.pk) == ["kill_switch_activated"]


def test_the_same_scope_is_not_stopped_twice(acme: Tenant) -> None:
    activate(acme)
    with pytest.raises(AlreadyActive):
        activate(acme)
    activate(acme, "action_type", "retry")
    assert journal_of(acme).count("kill_switch_activated") == 2


def test_it_expires_by_itself_and_can_be_set_again(acme: Tenant, time_travel: Travel) -> None:
    first = activate(acme, minutes=10)
    time_travel(minutes=11)
    assert held(acme, retry_of(acme)) == []
    activate(acme)
    with bound(acme.pk):
        first.refresh_from_db()
    assert (first.lifted_by, first.lift_reason) == ("expiry", "expired")
    assert held(acme, retry_of(acme)) == ["tenant"]


def test_lifting_lets_go_and_lifting_again_changes_nothing(acme: Tenant) -> None:
    switch = activate(acme)
    for _ in range(2):
        with bound(acme.pk) as now:
            lifted = killswitch.lift(switch, reason="over", by=ANN, now=now)
    assert (lifted.lifted_by, lifted.lift_reason, lifted.version) == ("ann", "over", 2)
    assert held(acme, retry_of(acme)) == []
    assert journal_of(acme, switch.pk) == ["kill_switch_activated", "kill_switch_lifted"]
    activate(acme)


def test_the_global_switch_is_set_once_lifted_once_and_journalled_by_the_platform(
    acme: Tenant,
) -> None:
    switch = activate_global()
    with pytest.raises(AlreadyActive):
        activate_global()
    for _ in range(2):
        with scoping.platform() as now:
            killswitch.lift_global(switch, reason="over", by=ANN, now=now)
    assert held(acme, retry_of(acme)) == []
    with scoping.platform():
        verbs = PlatformJournalEntry.objects.order_by("id").values_list("verb", flat=True)
        assert list(verbs) == ["kill_switch_activated", "kill_switch_lifted"]


def test_a_global_switch_that_expired_gives_way_to_a_new_one(
    acme: Tenant, time_travel: Travel
) -> None:
    with scoping.platform() as now:
        killswitch.activate_global(
            reason="short", expires_at=now + timedelta(minutes=1), by=ANN, now=now
        )
    time_travel(minutes=2)
    assert held(acme, retry_of(acme)) == []
    activate_global()
    assert held(acme, retry_of(acme)) == ["global"]


# --- starts and activations at once --------------------------------------------------------------

Look = Callable[[Scopes, datetime], list[Held]]


def race(
    tenant: Tenant, stop: Callable[[], object], look: Look, until: Callable[[Flag], None]
) -> list[str]:
    """A start has looked and seen nothing when somebody stops its scope. What happens in which order?"""
    looked, stopped = Flag(), Flag()
    is_visible: list[bool] = []

    def start() -> None:
        with bound(tenant.pk) as now:
            assert look(retry_of(tenant), now) == []
            looked.set()
            until(stopped)
            Vendor.objects.create(tenant=tenant, name="the committed start")

    def activation() -> None:
        assert looked.wait(PATIENCE_SECONDS)
        stop()
        with bound(tenant.pk):
            mine = Vendor.objects.for_tenant(tenant.pk)
            is_visible.append(mine.filter(name="the committed start").exists())
        stopped.set()

    at_once(2, lambda number: (start, activation)[number]())
    # Asked of the database: two threads that append to a list overtake each other after the commit.
    return ["started", "acknowledged"] if is_visible == [True] else ["acknowledged", "started"]


STOPS: dict[str, Callable[[Tenant], object]] = {
    "global": lambda _: activate_global(),
    "tenant": activate,
    "workflow": lambda tenant: activate(tenant, "workflow", str(WORKFLOW)),
    "vendor": lambda tenant: activate(tenant, "vendor", str(VENDOR)),
    "action_type": lambda tenant: activate(tenant, "action_type", "retry"),
}


@pytest.mark.parametrize("scope", STOPS)
@pytest.mark.django_db(transaction=True)
def test_no_start_commits_after_an_acknowledged_stop(
    acme: Tenant, owner: Owner, scope: str
) -> None:
    def somebody_waits(_: Flag) -> None:
        for _n in range(100_000):
            if owner.connection.execute(_WAITING).fetchone() != (0,):
                return
        pytest.fail("the activation did not wait")

    order = race(
        acme,
        lambda: STOPS[scope](acme),
        lambda scopes, now: killswitch.lock_and_read(scopes, now=now),
        somebody_waits,
    )
    assert order == ["started", "acknowledged"]
    assert held(acme, retry_of(acme)) == [scope]


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_a_start_would_slip_past_an_acknowledged_stop(acme: Tenant) -> None:
    """The positive control (M8): a plain select looks the same and is not."""

    def until_acknowledged(stopped: Flag) -> None:
        assert stopped.wait(PATIENCE_SECONDS)

    order = race(
        acme,
        lambda: activate(acme),
        lambda scopes, now: killswitch.holding(scopes, now=now),
        until_acknowledged,
    )
    assert order == ["acknowledged", "started"]


@pytest.mark.django_db(transaction=True)
def test_two_who_stop_the_same_scope_at_once_set_one_switch(acme: Tenant) -> None:
    def stop(_: int) -> bool:
        try:
            activate(acme)
        except AlreadyActive:
            return False
        return True

    assert sum(at_once(6, stop)) == 1
    assert journal_of(acme) == ["kill_switch_activated"]


@pytest.mark.django_db(transaction=True)
def test_starts_do_not_wait_for_each_other(acme: Tenant) -> None:
    VendorFactory(tenant=acme)
    together = Flag()
    inside: list[int] = []

    def start(number: int) -> None:
        with bound(acme.pk) as now:
            killswitch.lock_and_read(retry_of(acme), now=now)
            inside.append(number)
            if len(inside) == 4:
                together.set()
            assert together.wait(PATIENCE_SECONDS)

    at_once(4, start)
    assert together.is_set()
