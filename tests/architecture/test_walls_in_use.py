"""The walls in use: what Postgres shows and takes when the application forgets to ask for one tenant only."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from django.db import DatabaseError, ProgrammingError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from incidents.models import Incident
from safety import killswitch
from safety.killswitch import Scopes
from tenants import scoping, sealing
from tenants.access import Caller, TenantRef, requires
from tenants.journal import SYSTEM, Actor
from tenants.models import Tenant
from tenants.scoping import OtherTenantInside, UnscopedQuery, bound
from tests.architecture import catalog
from tests.cast import decide_all, digest_all, event, failure, key_of, submit_all
from tests.databases import Owner
from tests.factories import (
    AnalysisFactory,
    ApprovalVoteFactory,
    AttemptFactory,
    BreakerFactory,
    BulkItemFactory,
    CampaignRunFactory,
    CategoryLabelFactory,
    ChangeFactory,
    DeliveryFactory,
    EscalationFactory,
    EscalationStepFactory,
    EvidenceFactory,
    FixMarkFactory,
    IngestDeltaFactory,
    InvitationFactory,
    MembershipFactory,
    MergePartFactory,
    QuarantinedEventFactory,
    RunbookFactory,
    SavedViewFactory,
    SimulationFactory,
    StepTickFactory,
    TicketFactory,
    UndoFactory,
)

pytestmark = pytest.mark.django_db(transaction=True)

# Partitions are read through their parents; these two hold rows only while something is under way or refused.
_EMPTY_AFTER_USE = {
    "events_pendingevent",
    "events_ingesthour",
    "events_keptevent",
    "incidents_outcomerule",
    "incidents_signaturealias",
    "incidents_template",
    "safety_ruleoverride",
    "safety_rulepause",
    "safety_switchrelease",
    "safety_vendorbucket",
}


_REMEDIATION = (
    AttemptFactory,
    ApprovalVoteFactory,
    CampaignRunFactory,
    DeliveryFactory,
    EscalationStepFactory,
    EscalationFactory,
    IngestDeltaFactory,
    QuarantinedEventFactory,
    SavedViewFactory,
    SimulationFactory,
    TicketFactory,
    BulkItemFactory,
    UndoFactory,
    MergePartFactory,
    RunbookFactory,
    StepTickFactory,
    AnalysisFactory,
    CategoryLabelFactory,
    FixMarkFactory,
    ChangeFactory,
    EvidenceFactory,
)


@pytest.fixture
def both(acme: Tenant, globex: Tenant) -> tuple[Tenant, Tenant]:
    """Two tenants that have used the product: the same outage, told apart only by whose it is."""
    for tenant in (acme, globex):
        MembershipFactory(tenant=tenant)
        InvitationFactory(tenant=tenant)
        key_of(tenant)
        failures = [event(run_id=f"run-{n}") for n in range(3)]
        submit_all(tenant, [*failures, event(run_id="run-0", event_type="payment.completed")])
    digest_all()
    decide_all()
    sealing.seal_all()
    for tenant in (acme, globex):
        for made in _REMEDIATION:
            made(tenant=tenant)
        with bound(tenant.pk) as now:
            killswitch.activate(
                tenant_id=tenant.pk,
                scope="tenant",
                target="",
                reason="drill",
                expires_at=None,
                by=SYSTEM,
                now=now,
            )
    return acme, globex


def whole_tables(owner: Owner) -> list[str]:
    return sorted(n for n, t in catalog.of_tenants(owner).items() if not t.is_partition)


def seen(table: str) -> dict[UUID, int]:
    """Tenant → rows, from SQL that forgot to say whose."""
    column = "id" if table == catalog.TENANT else "tenant_id"
    with connection.cursor() as cursor:
        cursor.execute(f"select {column}, count(*) from {table} group by 1")
        return dict(cursor.fetchall())


def test_raw_sql_in_a_tenants_block_sees_that_tenant_only(
    both: tuple[Tenant, Tenant], owner: Owner
) -> None:
    acme, globex = both
    for table in whole_tables(owner):
        for tenant in both:
            with bound(tenant.pk):
                assert seen(table).keys() <= {tenant.pk}, table
        with (
            scoping.platform()
        ):  # the control: both have rows there, so the wall had something to hide
            if table not in _EMPTY_AFTER_USE:
                assert seen(table).keys() >= {acme.pk, globex.pk}, table


def test_outside_every_block_a_tenants_table_is_closed(
    both: tuple[Tenant, Tenant], owner: Owner
) -> None:
    for table in whole_tables(owner):
        with pytest.raises(ProgrammingError, match="permission denied"):
            seen(table)


def test_a_block_without_a_tenant_shows_and_takes_nothing(both: tuple[Tenant, Tenant]) -> None:
    acme, _ = both
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select set_config('role', 'awf_app', true)")
        assert seen("incidents_incident") == {}
        with pytest.raises(DatabaseError, match="row-level security"), transaction.atomic():
            cursor.execute(
                "insert into tenants_vendor (id, tenant_id, name, created_at)"
                " values (gen_random_uuid(), %s, 'x', now())",
                [acme.pk],
            )


def test_a_block_takes_no_row_of_another_tenant(both: tuple[Tenant, Tenant]) -> None:
    acme, globex = both
    with bound(acme.pk), connection.cursor() as cursor:
        with pytest.raises(DatabaseError, match="row-level security"), transaction.atomic():
            cursor.execute(
                "insert into tenants_vendor (id, tenant_id, name, created_at)"
                " values (gen_random_uuid(), %s, 'x', now())",
                [globex.pk],
            )
        cursor.execute("update tenants_vendor set name = 'mine' where tenant_id = %s", [globex.pk])
        assert cursor.rowcount == 0


def test_a_row_cannot_point_to_another_tenants_row(both: tuple[Tenant, Tenant]) -> None:
    acme, globex = both
    with bound(globex.pk):
        foreign = Incident.objects.for_tenant(globex).values_list("pk", flat=True)[0]
    # the composite key refuses although the foreign row exists (M14: a plain one would take it)
    with pytest.raises(DatabaseError, match="foreign key"), bound(acme.pk):
        Incident.objects.for_tenant(acme).update(previous_id=foreign)


def test_a_view_written_without_its_filter_still_shows_no_foreign_row(
    both: tuple[Tenant, Tenant], rf: RequestFactory
) -> None:
    acme, globex = both

    @requires("view")
    def careless(request: HttpRequest) -> HttpResponse:
        return HttpResponse(" ".join(str(i.tenant_id) for i in Incident.objects.all()))

    request = rf.get("/")
    request.user = type("Person", (), {"is_authenticated": True})()
    request.caller = Caller(  # type: ignore[attr-defined]
        SYSTEM, TenantRef(acme.pk, acme.name, acme.slug), frozenset({"view"})
    )
    shown = careless(request).content.decode()  # type: ignore[attr-defined]
    assert str(acme.pk) in shown
    assert str(globex.pk) not in shown


def test_a_query_outside_every_block_says_what_is_missing(acme: Tenant) -> None:
    for ask in (list, len, bool):
        with pytest.raises(UnscopedQuery, match="Incident"):
            ask(Incident.objects.all())
    for asking in ("count", "exists", "delete"):
        with pytest.raises(UnscopedQuery):
            getattr(Incident.objects.all(), asking)()
    with pytest.raises(UnscopedQuery):
        Incident.objects.update(title="x")
    with pytest.raises(UnscopedQuery):
        next(Incident.objects.iterator())
    with pytest.raises(UnscopedQuery):
        Incident.objects.aggregate()


class Broken(Exception):
    """What a view might raise."""


@pytest.fixture
def pool_of_one(both: tuple[Tenant, Tenant]) -> Iterator[None]:
    """A fresh pool, which has one connection while one thread asks."""
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    yield
    connection.close()


def whoami() -> tuple[str, str, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "select current_user::text, coalesce(current_setting('awf.tenant', true), ''), pg_backend_pid()"
        )
        row: tuple[str, str, int] = cursor.fetchone()
    return row


def test_500_alternating_blocks_over_one_pooled_connection_leave_nothing_behind(
    both: tuple[Tenant, Tenant], pool_of_one: None
) -> None:
    pids = set()
    for turn in range(500):
        tenant = both[turn % 2]
        try:
            with bound(tenant.pk):
                assert seen("incidents_incident").keys() == {tenant.pk}
                if turn % 5 == 3:
                    raise Broken  # a view's own error
                if turn % 5 == 4:
                    with connection.cursor() as cursor:
                        cursor.execute("select 1 / 0")  # a transaction that is broken already
        except (Broken, DatabaseError):
            pass
        assert whoami()[:2] == ("awf_login", ""), f"after block {turn}"
        pids.add(whoami()[2])
        connection.close()  # back into the pool, as after a request
    assert len(pids) == 1


def test_an_inner_block_gives_the_outer_one_its_role_back(both: tuple[Tenant, Tenant]) -> None:
    acme, _ = both
    with scoping.pipeline():
        for tenant in both:
            with bound(tenant.pk):
                assert whoami()[:2] == ("awf_app", str(tenant.pk))
            # RELEASE SAVEPOINT keeps what was set inside (M14): the block itself gives it back
            assert whoami()[:2] == ("awf_pipeline", "")
            with pytest.raises(Broken), bound(tenant.pk):
                raise Broken
            assert whoami()[:2] == ("awf_pipeline", "")
    with bound(acme.pk):
        with bound(acme.pk):
            assert whoami()[:2] == ("awf_app", str(acme.pk))
        assert whoami()[:2] == ("awf_app", str(acme.pk))


def test_a_block_refuses_another_tenant_and_a_wider_role_inside(
    acme: Tenant, globex: Tenant
) -> None:
    others = (bound(globex.pk), scoping.platform(), scoping.pipeline(durable=False))
    for other in others:
        with bound(acme.pk), pytest.raises(OtherTenantInside), other:
            pytest.fail("it opened")
        assert scoping.current() is None
    with scoping.pipeline(), pytest.raises(OtherTenantInside), scoping.platform():
        pytest.fail("it opened")


def test_a_durable_block_refuses_to_be_inside_another(acme: Tenant) -> None:
    with (
        transaction.atomic(),
        pytest.raises(RuntimeError, match="durable"),
        bound(acme.pk, durable=True),
    ):
        pytest.fail("it opened")


def test_a_global_stop_holds_an_action_started_under_the_application_role(
    acme: Tenant, staff: object
) -> None:
    with scoping.platform() as now:
        killswitch.activate_global(
            reason="everything", expires_at=None, by=Actor("user", "1", "staff"), now=now
        )
    with bound(acme.pk) as now:
        assert whoami()[0] == "awf_app"
        held = killswitch.lock_and_read(Scopes(acme.pk, "retry"), now=now)
    # a row of no tenant, seen through the tenant's own role
    assert [(switch.scope, switch.reason) for switch in held] == [("global", "everything")]


def test_a_tenant_cannot_stop_everybody(acme: Tenant) -> None:
    with pytest.raises(DatabaseError, match="permission denied"), bound(acme.pk) as now:
        killswitch.activate_global(reason="mine", expires_at=None, by=SYSTEM, now=now)


def test_failures_of_one_tenant_are_not_the_others_breaker(acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex):
        BreakerFactory(tenant=tenant, vendor__name="stripe")
    submit_all(acme, [event(run_id=f"r{n}", payload=failure()) for n in range(30)])
    digest_all()
    with scoping.platform(), connection.cursor() as cursor:
        cursor.execute("select tenant_id, state, failures from safety_circuitbreaker")
        states = {row[0]: row[1:] for row in cursor.fetchall()}
    assert states[acme.pk][0] == "open"
    assert states[globex.pk] == ("closed", 0)
