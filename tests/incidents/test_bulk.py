"""One verb for many incidents: chosen when asked for, worked in chunks, each on its merits, taken back exactly."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from incidents import bulk, bulk_verbs, bulk_work, keeping, lifecycle
from incidents.bulk import TooMany, UnknownIncident
from incidents.lifecycle import ChangedSince
from incidents.models import BulkItem, BulkJob, Incident
from incidents.query_filters import Asker
from incidents.states import BulkState, ItemState, RunState, Status
from tenants.journal import Actor
from tenants.models import Tenant, Workflow
from tenants.scoping import bound
from tests.cast import journal_of
from tests.factories import AffectedRunFactory, IncidentFactory, WorkflowFactory

pytestmark = pytest.mark.django_db

ALICE = Actor("user", "1", "alice")
BOB = Actor("user", "2", "bob")


def some(tenant: Tenant, n: int, **fields: Any) -> list[Incident]:
    """Incidents of one workflow, in one statement."""
    workflow: Workflow = WorkflowFactory(tenant=tenant, slug=f"many-{n}")
    with bound(tenant.pk) as now:
        return list(
            Incident.objects.bulk_create(
                Incident(
                    tenant=tenant,
                    number=10_000 + n * 1000 + place,
                    title=f"Payment failed at step {place}",
                    category="transient_error",
                    workflow=workflow,
                    signature=f"{n:016x}{place:016x}",
                    signature_version=1,
                    first_seen_at=now,
                    last_seen_at=now,
                    opened_at=now,
                    **fields,
                )
                for place in range(n)
            )
        )


def asked(tenant: Tenant, verb: str, query: str = "is:open", **parameters: Any) -> BulkJob:
    with bound(tenant.pk) as now:
        rows = bulk.matching(Asker(tenant.pk, now), query)
        return bulk.ask(
            tenant.pk, verb, rows, parameters=parameters, query=query, by=ALICE, now=now
        )


def taken_back(job: BulkJob) -> None:
    with bound(job.tenant_id) as now:
        bulk.ask_back(job, by=BOB, now=now)
    worked()


def worked() -> None:
    while bulk_work.work_due():
        pass


def counts(job: BulkJob) -> bulk.Progress:
    with bound(job.tenant_id):
        return bulk.progress(job)


def states(tenant: Tenant) -> dict[Any, dict[str, Any]]:
    with bound(tenant.pk):
        return {row.pk: keeping.snapshot(row) for row in Incident.objects.for_tenant(tenant)}


def fresh(job: BulkJob) -> BulkJob:
    with bound(job.tenant_id):
        found: BulkJob = BulkJob.objects.for_tenant(job.tenant_id).get(pk=job.pk)
    return found


def test_all_that_match_are_resolved_in_chunks_and_undone_exactly(
    acme: Tenant, globex: Tenant, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_work, "CHUNK", 7)
    rows = some(acme, 30)
    theirs = some(globex, 3)
    with bound(acme.pk) as now:
        mine = Incident.objects.for_tenant(acme)
        soon = now + timedelta(hours=1)
        mine.filter(pk__in=[row.pk for row in rows[:5]]).update(
            assignee=alice, snoozed_until=soon, snooze={"kind": "count", "value": 3}
        )
        mine.filter(pk=rows[6].pk).update(status=Status.ESCALATED, escalated_reason="loud")
    before, elsewhere = states(acme), states(globex)
    job = asked(acme, "resolve", reason="fixed upstream")
    later = IncidentFactory(tenant=acme)  # was not there when it was asked for
    worked()
    assert (counts(job).total, counts(job).done, fresh(job).state) == (30, 30, BulkState.DONE)
    now_is = states(acme)
    assert {now_is[row.pk]["status"] for row in rows} == {Status.RESOLVED}
    assert now_is[later.pk]["status"] == Status.DETECTED
    assert journal_of(acme, rows[0].pk) == ["resolved"]
    taken_back(job)
    after = states(acme)
    assert {pk: after[pk] for pk in before} == before  # assignee and snooze too
    assert (counts(job).undone, fresh(job).state) == (30, BulkState.UNDONE)
    assert journal_of(acme, rows[0].pk) == ["resolved", "undone"]
    assert (states(globex), len(theirs)) == (elsewhere, 3)
    assert journal_of(acme, job.pk) == ["bulk_asked", "bulk_done", "bulk_undo_asked", "bulk_undone"]


def test_each_is_judged_on_its_own_and_what_is_refused_says_why(acme: Tenant) -> None:
    fine, closed, hurt = some(acme, 3)
    with bound(acme.pk):
        mine = Incident.objects.for_tenant(acme)
        mine.filter(pk=closed.pk).update(status=Status.IGNORED)
        mine.filter(pk=hurt.pk).update(affected_runs=1, unrecovered_runs=1)
    AffectedRunFactory(tenant=acme, incident=hurt, run__state=RunState.FAILED)
    job = asked(acme, "resolve", query="workflow:many-3", reason="done")
    worked()
    with bound(acme.pk):
        wrong = {item.incident_id: item.reason for item in bulk.failures(job)}
    assert wrong == {
        closed.pk: "An incident that is ignored cannot become resolved.",
        hurt.pk: "1 runs are not recovered.",
    }
    assert (counts(job).done, counts(job).failed) == (1, 2)
    assert states(acme)[fine.pk]["status"] == Status.RESOLVED


def test_runs_are_given_up_only_with_a_reason_and_stay_given_up(acme: Tenant) -> None:
    fine, hurt = some(acme, 2)
    with bound(acme.pk):
        mine = Incident.objects.for_tenant(acme).filter(pk=hurt.pk)
        mine.update(affected_runs=1, unrecovered_runs=1)
    AffectedRunFactory(tenant=acme, incident=hurt, run__state=RunState.FAILED)
    job = asked(acme, "resolve", waive_unrecovered=True, reason="refunded")
    worked()
    assert {one["status"] for one in states(acme).values()} == {Status.RESOLVED}
    taken_back(job)
    with bound(acme.pk):
        kept = {item.incident_id: item.reason for item in bulk.failures(job)}
    assert kept == {hurt.pk: bulk_work.GIVEN_UP}
    assert states(acme)[fine.pk]["status"] == Status.DETECTED


def test_what_has_changed_since_is_not_taken_back(acme: Tenant) -> None:
    one, other = some(acme, 2)
    job = asked(acme, "escalate", reason="look")
    worked()
    with bound(acme.pk) as now:
        lifecycle.resolve(one, by=BOB, now=now, reason="fixed")
    taken_back(job)
    assert (counts(job).undone, counts(job).kept) == (1, 1)
    assert {states(acme)[row.pk]["status"] for row in (one, other)} == {"resolved", "detected"}


PARAMETERS: dict[str, dict[str, Any]] = {
    "acknowledge": {"timeout_minutes": 30},
    "resolve": {"reason": "done"},
    "ignore": {"reason": "known"},
    "escalate": {"reason": "loud"},
    "snooze": {"count": 5},
    "assign": {"assignee": None},
}


@pytest.mark.parametrize("verb", PARAMETERS)
def test_a_verb_for_many_is_done_and_taken_back(acme: Tenant, alice: User, verb: str) -> None:
    some(acme, 3)
    said = PARAMETERS[verb] | ({"assignee": alice.pk} if verb == "assign" else {})
    before = states(acme)
    job = asked(acme, verb, **said)
    worked()
    assert counts(job).done == 3
    assert states(acme) != before
    taken_back(job)
    assert states(acme) == before


def test_a_worker_that_dies_loses_nothing_and_does_nothing_twice(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_work, "CHUNK", 2)
    rows = some(acme, 5)
    job = asked(acme, "escalate", reason="look")
    died = Counter[str]()

    def die(name: str) -> None:
        died[name] += 1
        raise SystemExit

    monkeypatch.setattr(bulk_work, "failpoint", die)
    with pytest.raises(SystemExit):
        bulk_work.work_due()
    monkeypatch.setattr(bulk_work, "failpoint", lambda _name: None)
    assert (counts(job).done, died["bulk.after_chunk"]) == (2, 1)
    assert bulk_work.work_due() == 0  # its lease has not lapsed
    with bound(acme.pk):
        BulkJob.objects.for_tenant(acme).filter(pk=job.pk).update(lease_until=None)
    worked()
    assert counts(job).done == 5
    assert [journal_of(acme, row.pk) for row in rows] == [["escalated"]] * 5


def test_one_that_breaks_stops_no_other(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = some(acme, 3)
    act = bulk_verbs.act

    def breaks(verb: str, row: Incident, said: Any) -> Incident:
        if row.pk == rows[1].pk:
            raise RuntimeError("a bug")
        done: Incident = act(verb, row, said)
        return done

    monkeypatch.setattr(bulk_verbs, "act", breaks)
    job = asked(acme, "acknowledge")
    worked()
    assert (counts(job).done, counts(job).failed) == (2, 1)
    with bound(acme.pk):
        assert [item.reason for item in bulk.failures(job)] == [bulk_work.BROKE]


def test_few_are_done_at_once_and_many_are_left_to_the_sweep(acme: Tenant) -> None:
    some(acme, 3)
    job = asked(acme, "acknowledge")
    with bound(acme.pk) as now:
        assert bulk_work.work_here(job, now=now)
    assert (fresh(job).state, counts(job).done) == (BulkState.DONE, 3)
    job = asked(acme, "resolve", waive_unrecovered=True, reason="x")
    with bound(acme.pk) as now:
        assert not bulk_work.work_here(job, now=now)


def test_a_job_of_nothing_is_over_at_once(acme: Tenant) -> None:
    job = asked(acme, "acknowledge", query="workflow:none-such")
    worked()
    assert (fresh(job).state, counts(job).total, counts(job).percent) == (BulkState.DONE, 0, 100)


def test_foreign_and_unknown_incidents_are_not_chosen(acme: Tenant, globex: Tenant) -> None:
    mine, theirs = some(acme, 1)[0], some(globex, 1)[0]
    with bound(acme.pk), pytest.raises(UnknownIncident) as refused:
        bulk.chosen(acme.pk, [mine.pk, theirs.pk])
    assert refused.value.unknown == [theirs.pk]


def test_a_job_has_bounds(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    some(acme, 3)
    monkeypatch.setattr(bulk, "MOST", 2)
    with pytest.raises(TooMany):
        asked(acme, "acknowledge")


def test_a_job_is_taken_back_once_it_is_over_within_ten_minutes(acme: Tenant) -> None:
    some(acme, 2)
    job = asked(acme, "acknowledge")
    with bound(acme.pk) as now, pytest.raises(ChangedSince, match="under way"):
        bulk.ask_back(job, by=ALICE, now=now)
    worked()
    with bound(acme.pk) as now:
        with pytest.raises(ChangedSince, match="10 minutes"):
            bulk.ask_back(job, by=ALICE, now=now + timedelta(minutes=11))
        bulk.ask_back(job, by=ALICE, now=now)
        assert bulk.ask_back(job, by=ALICE, now=now).state == BulkState.UNDOING


def test_items_know_their_incidents_tenant(acme: Tenant) -> None:
    some(acme, 2)
    job = asked(acme, "acknowledge")
    with bound(acme.pk):
        items = BulkItem.objects.for_tenant(acme).filter(job=job)
        assert {item.state for item in items} == {ItemState.WAITING}
