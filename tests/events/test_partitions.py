"""Days of events: made ahead, made on demand, and never in the way of what is being stored."""

from datetime import UTC, datetime, timedelta
from threading import Event as Flag

import pytest
from django.db import DatabaseError, connection

from awfdrs_site.lib import clock
from awfdrs_site.lib.ids import day_bound, uuid7
from events import partitions, tasks
from tenants import scoping
from tenants.models import Tenant, Workflow
from tests.cast import Travel, submit
from tests.databases import Owner
from tests.factories import WorkflowFactory
from tests.support.plain_events import add_event
from tests.threads import PATIENCE_SECONDS, at_once

pytestmark = pytest.mark.django_db(transaction=True)

TABLES = ("events_event", "incidents_eventlink")
_WAITING = (
    "select count(*) from pg_locks where not granted and relation = 'tenants_workflow'::regclass"
)


def days_of(table: str, owner: Owner) -> set[str]:
    children = "select inhrelid::regclass::text from pg_inherits where inhparent = %s::regclass"
    return {row[0] for row in owner.connection.execute(children, [table])}


def test_today_and_the_coming_days_are_made_and_making_them_again_is_harmless(
    owner: Owner, time_travel: Travel, transactional_db: None
) -> None:
    time_travel(days=200)
    for _ in range(2):
        tasks.make_partitions(unknown="argument of a newer release")
        for table in TABLES:
            wanted = {
                f"{table}_{clock.read() + timedelta(days=ahead):%Y%m%d}"
                for ahead in range(partitions.DAYS_AHEAD + 1)
            }
            assert wanted <= days_of(table, owner)


def test_a_day_ends_where_the_next_begins(acme: Tenant, owner: Owner) -> None:
    noon = datetime(2031, 3, 4, 12, tzinfo=UTC)
    partitions.make(now=noon)
    workflow = WorkflowFactory(tenant=acme)
    midnight = datetime(2031, 3, 5, tzinfo=UTC)
    last, first = uuid7(midnight - timedelta(milliseconds=1)), day_bound(midnight.date())
    with scoping.bound(acme.pk), connection.cursor() as cursor:
        for identifier in (last, first):
            add_event(acme, workflow, at=noon, id=identifier)
        cursor.execute("select id, tableoid::regclass::text from events_event")
        assert dict(cursor.fetchall()) == {
            last: "events_event_20310304",
            first: "events_event_20310305",
        }


def test_an_event_of_a_day_that_is_missing_is_refused_not_misplaced(acme: Tenant) -> None:
    workflow = WorkflowFactory(tenant=acme)
    then = datetime(2044, 1, 1, tzinfo=UTC)
    with pytest.raises(DatabaseError, match="no partition"), scoping.bound(acme.pk):
        add_event(acme, workflow, at=then)


def test_only_partitioned_tables_get_days_and_only_from_the_pipeline(acme: Tenant) -> None:
    make = "select awf_make_partition(%s, '2031-01-01')"
    with (
        pytest.raises(DatabaseError, match="not a partitioned table"),
        scoping.pipeline(),
        connection.cursor() as cursor,
    ):
        cursor.execute(make, ["tenants_vendor"])
    with (
        pytest.raises(DatabaseError, match="permission denied"),
        scoping.bound(acme.pk),
        connection.cursor() as cursor,
    ):
        cursor.execute(make, ["events_event"])


def test_workers_that_miss_the_same_day_at_once_make_it_once(owner: Owner, acme: Tenant) -> None:
    then = datetime(2033, 7, 8, tzinfo=UTC)
    at_once(4, lambda _: partitions.make(now=then))
    assert "events_event_20330708" in days_of("events_event", owner)


def test_making_a_day_does_not_deadlock_with_an_ingest_that_registers_its_workflow(
    acme: Tenant, owner: Owner
) -> None:
    """The ingest holds its new workflow and wants the events; the day's foreign key wants the workflows."""
    submit(acme)  # today exists
    registered = Flag()

    def ingest() -> None:
        with scoping.bound(acme.pk) as now:
            workflow = Workflow.objects.create(tenant=acme, slug="new", created_at=now)
            registered.set()
            _until_somebody_waits(owner)
            add_event(acme, workflow, at=now)

    def make() -> None:
        assert registered.wait(PATIENCE_SECONDS)
        partitions.make(now=datetime(2035, 1, 1, tzinfo=UTC))

    at_once(2, lambda number: (ingest, make)[number]())
    assert "events_event_20350101" in days_of("events_event", owner)


def _until_somebody_waits(owner: Owner) -> None:
    for _ in range(10_000):
        if owner.connection.execute(_WAITING).fetchone() != (0,):
            return
    pytest.fail("nobody waited for the workflows: this test proves nothing")
