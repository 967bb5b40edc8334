"""The digest: every stored event becomes part of exactly one incident, run and breaker, whatever breaks meanwhile."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pytest_django.fixtures import Settings

from awfdrs_site.lib import clock, rfc3339
from awfdrs_site.lib.failpoints import FailpointReached
from events.models import Event, PendingEvent
from incidents import detection, inbox, lifecycle, merging, reading, tasks
from incidents.models import AffectedRun, EventLink, Incident, Run
from incidents.reading import Reading
from incidents.states import RunState, Status
from safety.models import CircuitBreaker
from tenants.journal import SYSTEM
from tenants.models import JournalEntry, Tenant, Vendor
from tenants.scoping import bound
from tests.cast import (
    Travel,
    decide_all,
    digest_all,
    event,
    failure,
    journal_of,
    only_incident,
    submit,
    submit_all,
)
from tests.factories import BreakerFactory
from tests.threads import at_once

pytestmark = pytest.mark.django_db

LEASE = {"seconds": 31}


def incidents_of(tenant: Tenant) -> list[Incident]:
    with bound(tenant.pk):
        return list(Incident.objects.for_tenant(tenant).order_by("number"))


def runs_of(tenant: Tenant) -> dict[str, Run]:
    with bound(tenant.pk):
        return {run.run_id: run for run in Run.objects.for_tenant(tenant)}


def waiting(tenant: Tenant) -> int:
    with bound(tenant.pk):
        return PendingEvent.objects.for_tenant(tenant).count()


def links_of(tenant: Tenant) -> list[EventLink]:
    with bound(tenant.pk):
        return list(EventLink.objects.for_tenant(tenant).order_by("id"))


def ago(**by: float) -> str:
    return rfc3339.format(clock.read() - timedelta(**by))


def succeed(tenant: Tenant, run_id: str, **fields: Any) -> None:
    submit(tenant, run_id=run_id, event_type="payment.completed", payload={}, **fields)
    digest_all()


def fail(tenant: Tenant, run_id: str, **fields: Any) -> None:
    submit(tenant, run_id=run_id, **fields)
    digest_all()


def resolve(tenant: Tenant, incident: Incident) -> Incident:
    with bound(tenant.pk) as now:
        return lifecycle.resolve(
            incident, by=SYSTEM, now=now, reason="fixed", waive_unrecovered=True
        )


# --- incidents ---------------------------------------------------------------------------------


def test_a_failure_opens_an_incident_that_says_what_it_is(acme: Tenant) -> None:
    verdict = submit(acme, run_id="run-1")
    assert digest_all() == 1
    incident = only_incident(acme)
    assert (incident.number, incident.status, incident.event_count) == (1, Status.DETECTED, 1)
    assert incident.title == "The payment provider did not answer in time"
    assert (incident.category, incident.severity) == ("transient_error", "high")
    assert incident.classification["evidence"]
    assert incident.last_event_id == verdict.event_id
    (link,) = links_of(acme)
    assert (link.pk, link.outcome, link.incident_id) == (verdict.event_id, "failure", incident.pk)
    assert link.run_id == runs_of(acme)["run-1"].pk
    assert journal_of(acme) == ["detected"]
    assert waiting(acme) == 0


def test_a_code_of_the_rulebook_is_certain(acme: Tenant) -> None:
    fail(acme, "r1", payload=failure(error_code="payment_gateway_timeout"))
    incident = only_incident(acme)
    assert incident.classification["is_certain"]
    assert incident.error_code == "payment_gateway_timeout"


def test_the_same_problem_is_one_incident_and_another_one_is_not(acme: Tenant) -> None:
    same = [event(run_id=f"r{n}", payload=failure(amount=n)) for n in range(5)]
    other = event(payload=failure(error_code="card_declined", error_message="No money"))
    submit_all(acme, [*same, other])
    digest_all()
    assert sorted(i.event_count for i in incidents_of(acme)) == [1, 5]
    assert sorted(i.number or 0 for i in incidents_of(acme)) == [1, 2]


def test_numbers_count_on_over_batches_and_are_each_tenants_own(
    acme: Tenant, globex: Tenant
) -> None:
    for tenant in (acme, globex):
        for code in ("card_declined", "invalid_token"):
            fail(tenant, code, payload=failure(error_code=code, error_message=code))
    for tenant in (acme, globex):
        assert [i.number for i in incidents_of(tenant)] == [1, 2]


def test_later_events_bump_the_open_incident(acme: Tenant) -> None:
    fail(acme, "r1", occurred_at=ago(minutes=5))
    before = only_incident(acme)
    fail(acme, "r2", occurred_at=ago(minutes=9))
    fail(acme, "r3", occurred_at=ago(minutes=1))
    after = only_incident(acme)
    assert after.event_count == after.affected_runs == 3
    assert after.first_seen_at < before.first_seen_at  # the second happened before the first
    assert after.last_seen_at > before.last_seen_at
    assert after.version > before.version
    assert journal_of(acme) == ["detected"]


def test_what_is_no_failure_opens_nothing(acme: Tenant) -> None:
    submit_all(
        acme,
        [
            event(event_type="payment.completed", payload={}),
            event(event_type="payment.noted", payload={"vendor": "stripe"}),
        ],
    )
    digest_all()
    assert incidents_of(acme) == []
    assert sorted(link.outcome for link in links_of(acme)) == ["neutral", "success"]
    assert waiting(acme) == 0


def test_tenants_with_the_same_failure_have_an_incident_each(acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex):
        submit(tenant)
    assert digest_all() == 2  # one claim, whoever's it is
    assert only_incident(acme).tenant_id != only_incident(globex).tenant_id


def test_a_regression_within_a_day_reopens_the_incident_to_be_decided_anew(
    acme: Tenant, time_travel: Travel
) -> None:
    fail(acme, "r1")
    decide_all()
    resolve(acme, only_incident(acme))
    time_travel(hours=23)
    fail(acme, "r2")
    incident = only_incident(acme)
    assert (incident.status, incident.regression_count) == (Status.DETECTED, 1)
    assert (incident.decided_at, incident.event_count) == (None, 2)
    assert journal_of(acme, incident.pk)[-1] == "regressed"
    assert decide_all() == 1


def test_after_a_day_the_same_failure_is_a_new_incident_that_knows_the_old(
    acme: Tenant, time_travel: Travel
) -> None:
    fail(acme, "r1")
    resolve(acme, only_incident(acme))
    time_travel(hours=25)
    fail(acme, "r2")
    old, new = incidents_of(acme)
    assert (old.status, old.regression_count) == (Status.RESOLVED, 0)
    assert (new.status, new.previous_id, new.event_count) == (Status.DETECTED, old.pk, 1)


def test_a_late_failure_is_counted_on_the_resolved_incident_and_does_not_reopen_it(
    acme: Tenant, time_travel: Travel
) -> None:
    fail(acme, "r1")
    resolve(acme, only_incident(acme))
    happened = clock.read() - timedelta(minutes=10)  # before the end
    for later in (0, 30):  # reported soon, or long after
        time_travel(hours=later)
        fail(acme, f"late-{later}", occurred_at=rfc3339.format(happened))
        incident = only_incident(acme)
        assert (incident.status, incident.regression_count) == (Status.RESOLVED, 0)
    assert incident.event_count == 3


def test_an_ignored_incident_absorbs_for_ever(acme: Tenant, time_travel: Travel) -> None:
    fail(acme, "r1")
    with bound(acme.pk) as now:
        lifecycle.ignore(only_incident(acme), by=SYSTEM, now=now, reason="a test account")
    time_travel(days=10)
    fail(acme, "r2")
    incident = only_incident(acme)
    assert (incident.status, incident.event_count) == (Status.IGNORED, 2)


# --- runs --------------------------------------------------------------------------------------


def test_a_started_event_opens_a_run_and_no_incident(acme: Tenant) -> None:
    fail(acme, "r1", event_type="payment.started", payload={})
    assert runs_of(acme)["r1"].state == RunState.RUNNING
    assert incidents_of(acme) == []


def test_a_failure_without_a_run_is_its_own_run(acme: Tenant) -> None:
    verdict = submit(acme)
    digest_all()
    (run,) = runs_of(acme).values()
    assert (run.run_id, run.state) == (str(verdict.event_id), RunState.FAILED)
    assert only_incident(acme).affected_runs == 1


def test_many_failures_of_one_run_hurt_one_run(acme: Tenant) -> None:
    submit_all(acme, [event(run_id="r1", n=n) for n in range(4)])
    digest_all()
    incident = only_incident(acme)
    assert (incident.event_count, incident.affected_runs, incident.unrecovered_runs) == (4, 1, 1)


def test_the_same_run_id_of_another_workflow_is_another_run(acme: Tenant) -> None:
    submit_all(acme, [event(run_id="r1"), event(run_id="r1", workflow="refund")])
    digest_all()
    with bound(acme.pk):
        assert Run.objects.for_tenant(acme).filter(run_id="r1").count() == 2


def test_a_success_recovers_a_run_and_the_last_one_resolves_the_incident_with_evidence(
    acme: Tenant,
) -> None:
    for run_id in ("r1", "r2"):
        fail(acme, run_id)
    succeed(acme, "r1")
    incident = only_incident(acme)
    assert (incident.status, incident.unrecovered_runs) == (Status.DETECTED, 1)
    succeed(acme, "r2")
    incident = only_incident(acme)
    assert (incident.status, incident.unrecovered_runs, incident.affected_runs) == (
        Status.RESOLVED,
        0,
        2,
    )
    runs = runs_of(acme)
    assert {run.state for run in runs.values()} == {RunState.RECOVERED_AUTO}
    assert all(run.recovered_at for run in runs.values())
    with bound(acme.pk):
        line = JournalEntry.objects.for_tenant(acme).get(verb="resolved")
    assert line.detail["evidence"] == [str(runs["r2"].success_event_id)]
    assert "2 affected runs" in line.detail["reason"]


def test_a_run_that_we_acted_on_recovered_by_our_action(acme: Tenant) -> None:
    fail(acme, "r1")
    with bound(acme.pk) as now:
        Run.objects.for_tenant(acme).update(state=RunState.RETRY_SCHEDULED, attempted_at=now)
    succeed(acme, "r1")
    assert runs_of(acme)["r1"].state == RunState.RECOVERED_BY_ACTION
    assert only_incident(acme).status == Status.RESOLVED


def test_a_run_that_fails_again_is_a_new_episode_to_be_planned_anew(acme: Tenant) -> None:
    fail(acme, "r1", occurred_at=ago(minutes=9))
    with bound(acme.pk) as now:
        Run.objects.for_tenant(acme).update(planned_at=now, attempted_at=now)
    succeed(acme, "r1", occurred_at=ago(minutes=6))
    fail(acme, "r1", occurred_at=ago(seconds=0))
    run, incident = runs_of(acme)["r1"], only_incident(acme)
    assert (run.state, run.episode, run.planned_at, run.attempted_at) == ("failed", 1, None, None)
    assert (incident.affected_runs, incident.unrecovered_runs) == (1, 1)
    assert incident.regression_count == 1


def test_a_success_that_arrives_first_leaves_a_late_failure_nothing_to_hurt(acme: Tenant) -> None:
    succeed(acme, "r1", occurred_at=ago(minutes=1))
    fail(acme, "r1", occurred_at=ago(minutes=5))
    assert runs_of(acme)["r1"].state == RunState.SUCCEEDED
    incident = only_incident(acme)
    # the evidence of recovery was there before the incident
    assert (incident.unrecovered_runs, incident.status) == (0, Status.RESOLVED)


def test_a_run_hurt_by_two_problems_counts_for_both(acme: Tenant) -> None:
    fail(acme, "r1")
    fail(acme, "r1", payload=failure(error_code="card_declined", error_message="No money"))
    assert [i.unrecovered_runs for i in incidents_of(acme)] == [1, 1]
    succeed(acme, "r1")
    assert {i.status for i in incidents_of(acme)} == {Status.RESOLVED}


def test_failure_and_success_in_one_batch_are_read_in_the_order_they_happened(acme: Tenant) -> None:
    submit_all(
        acme,
        [
            event(
                run_id="r1", event_type="payment.completed", payload={}, occurred_at=ago(seconds=1)
            ),
            event(run_id="r1", occurred_at=ago(seconds=9)),
        ],
    )
    digest_all()
    assert runs_of(acme)["r1"].state == RunState.RECOVERED_AUTO


# --- vendors and breakers ----------------------------------------------------------------------


def test_an_unknown_vendor_registers_itself(acme: Tenant) -> None:
    fail(acme, "r1", payload=failure(vendor="newpay"))
    with bound(acme.pk):
        assert Vendor.objects.for_tenant(acme).get().name == "newpay"
        assert Incident.objects.for_tenant(acme).get().vendor is not None


def test_beyond_the_limit_further_vendors_share_one(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detection, "VENDOR_LIMIT", 2)
    bodies = [event(run_id=v, payload=failure(vendor=v)) for v in ("a", "b", "c", "d")]
    submit_all(acme, bodies)
    digest_all()
    fail(acme, "e", payload=failure(vendor="e"))
    with bound(acme.pk):
        assert set(Vendor.objects.for_tenant(acme).values_list("name", flat=True)) == {
            "a",
            "b",
            "other",
        }


def breaker_of(tenant: Tenant) -> CircuitBreaker:
    with bound(tenant.pk):
        found: CircuitBreaker = CircuitBreaker.objects.for_tenant(tenant).get()
    return found


def test_reported_failures_of_a_vendor_open_its_breaker(acme: Tenant) -> None:
    submit_all(acme, [event(run_id=f"r{n}") for n in range(9)])
    digest_all()
    assert (breaker_of(acme).state, breaker_of(acme).failures) == ("closed", 9)
    fail(acme, "r10")
    assert breaker_of(acme).state == "open"
    assert "breaker_opened" in journal_of(acme)


def test_a_declined_card_says_nothing_of_the_vendor(acme: Tenant) -> None:
    declined = failure(error_code="card_declined", error_message="No money")
    submit_all(acme, [event(run_id=f"r{n}", payload=declined) for n in range(30)])
    digest_all()
    assert (breaker_of(acme).state, breaker_of(acme).failures) == ("closed", 0)


def test_after_a_merge_a_failure_still_says_what_it_is_itself(acme: Tenant) -> None:
    declined = failure(error_code="card_declined", error_message="No money", vendor="adyen")
    fail(acme, "r1")  # the vendor's fault
    fail(acme, "r2", payload=declined)
    target, other = incidents_of(acme)
    with bound(acme.pk) as now:
        merging.merge(target, [other.pk], by=SYSTEM, now=now, reason="one cause")
    fail(acme, "r3", payload=declined)
    assert incidents_of(acme)[0].event_count == 3
    with bound(acme.pk):
        rows = CircuitBreaker.objects.for_tenant(acme).values_list("vendor__name", "failures")
        # a declined card says nothing of Adyen, whatever incident counts it
        assert dict(rows) == {"stripe": 1, "adyen": 0}


def test_a_reported_success_starts_the_count_over(acme: Tenant) -> None:
    submit_all(acme, [event(run_id=f"r{n}") for n in range(9)])
    digest_all()
    submit(acme, run_id="ok", event_type="payment.completed", payload={"vendor": "stripe"})
    digest_all()
    assert breaker_of(acme).failures == 0


# --- when things break -------------------------------------------------------------------------


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[UUID]]:
    """Events whose reading breaks the digest."""
    poisoned: set[UUID] = set()
    read = reading.read

    def breaking(event: Event, *matchers: Any) -> Reading:
        if event.pk in poisoned:
            raise ValueError("poison")
        return read(event, *matchers)

    logging.getLogger("incidents.detection").setLevel(logging.CRITICAL)
    monkeypatch.setattr(reading, "read", breaking)
    yield poisoned
    logging.getLogger("incidents.detection").setLevel(logging.NOTSET)


def test_a_poison_event_stops_nobody_and_is_set_aside_after_three_tries(
    acme: Tenant, globex: Tenant, poison: set[UUID], time_travel: Travel
) -> None:
    verdicts = submit_all(acme, [event(run_id=f"r{n}") for n in range(5)])
    bad = verdicts[2].event_id
    assert bad is not None
    poison.add(bad)
    submit(globex)
    digest_all()
    # G5: the others of its batch and of other tenants go on at once
    assert only_incident(acme).event_count == 4
    assert only_incident(globex).event_count == 1
    for _ in range(2):
        assert waiting(acme) == 1
        time_travel(**LEASE)
        digest_all()
    with bound(acme.pk):
        aside = PendingEvent.objects.for_tenant(acme).get()
    assert (aside.pk, aside.attempts) == (bad, inbox.TRIES)
    assert aside.poisoned_at is not None
    # visible, and left alone from now on
    assert journal_of(acme, bad) == ["poisoned"]
    time_travel(**LEASE)
    assert digest_all() == 0


def test_an_event_that_broke_a_try_is_never_in_a_batch_with_others_again(
    acme: Tenant, poison: set[UUID], time_travel: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = submit_all(acme, [event(run_id=f"r{n}") for n in range(2)])
    poison |= {v.event_id for v in verdicts if v.event_id}
    digest_all()
    time_travel(**LEASE)
    sizes: list[int] = []
    real = detection._digest_claims

    def counted(tenant_id: UUID, claims: list[inbox.Claim]) -> None:
        sizes.append(len(claims))
        real(tenant_id, claims)

    monkeypatch.setattr(detection, "_digest_claims", counted)
    digest_all()
    assert sizes == [1, 1]


@pytest.mark.parametrize("where", ["group.after_claim", "group.before_commit"])
@pytest.mark.django_db(transaction=True)
def test_a_crash_anywhere_is_digested_again_once_the_lease_is_over(
    acme: Tenant, settings: Settings, time_travel: Travel, where: str
) -> None:
    submit_all(acme, [event(run_id=f"r{n}") for n in range(3)])
    settings.AWF_FAILPOINTS = f"{where}=raise"
    logging.disable(logging.CRITICAL)
    try:
        detection.digest()
    except FailpointReached:
        pass
    finally:
        logging.disable(logging.NOTSET)
    settings.AWF_FAILPOINTS = ""
    assert incidents_of(acme) == []
    assert digest_all() == 0  # held by the lease of the dead
    time_travel(**LEASE)
    assert digest_all() == 3
    assert only_incident(acme).event_count == 3
    assert len(links_of(acme)) == 3


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_wakes_up_after_its_lease_changes_nothing(
    acme: Tenant, time_travel: Travel
) -> None:
    submit_all(acme, [event(run_id=f"r{n}") for n in range(3)])
    asleep = inbox.claim(10)
    time_travel(**LEASE)
    assert digest_all() == 3
    # G8: the fencing token of its claim is not the row's any more
    detection._try(acme.pk, asleep[acme.pk])
    assert only_incident(acme).event_count == 3
    assert journal_of(acme) == ["detected"]


@pytest.mark.django_db(transaction=True)
def test_a_stale_claim_takes_nothing_from_the_worker_that_has_it_now(
    acme: Tenant, time_travel: Travel
) -> None:
    submit(acme)
    asleep = inbox.claim(10)
    time_travel(**LEASE)
    working = inbox.claim(10)
    detection._try(acme.pk, asleep[acme.pk])
    assert incidents_of(acme) == []
    detection._try(acme.pk, working[acme.pk])
    assert only_incident(acme).event_count == 1


@pytest.mark.django_db(transaction=True)
def test_eight_workers_and_a_hundred_events_of_one_problem_make_one_incident(
    acme: Tenant,
) -> None:
    submit_all(acme, [event(run_id=f"r{n}") for n in range(100)])

    def work(_: int) -> int:
        total = 0
        while claimed := detection.digest(limit=5):
            total += claimed
        return total

    assert sum(at_once(8, work)) == 100
    incident = only_incident(acme)
    # G4: read-then-write lost 335 of 400 and opened five (M6)
    assert (incident.event_count, incident.affected_runs, incident.number) == (100, 100, 1)
    assert incident.unrecovered_runs == 100
    with bound(acme.pk):
        assert AffectedRun.objects.for_tenant(acme).count() == 100
    assert len(links_of(acme)) == 100
    assert waiting(acme) == 0
    assert journal_of(acme, incident.pk) == ["detected"]


@pytest.mark.django_db(transaction=True)
def test_failures_and_successes_digested_at_once_leave_counts_that_add_up(acme: Tenant) -> None:
    submit_all(acme, [event(run_id=f"r{n}", occurred_at=ago(minutes=5)) for n in range(40)])
    submit_all(
        acme,
        [
            event(run_id=f"r{n}", event_type="payment.completed", payload={})
            for n in range(0, 40, 2)
        ],
    )
    BreakerFactory(tenant=acme, vendor__name="stripe")

    def work(_: int) -> None:
        while detection.digest(limit=3):
            pass

    at_once(6, work)
    states = [run.state for run in runs_of(acme).values()]
    hurt = states.count(RunState.FAILED)
    assert hurt == 20  # whichever arrived first, the later word counts
    assert sum(i.unrecovered_runs for i in incidents_of(acme)) == hurt


def test_the_task_digests_until_nothing_is_left(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detection, "BATCH", 2)
    digested: list[int] = []
    real = detection.digest

    def counted() -> int:
        digested.append(real(limit=2))
        return digested[-1]

    monkeypatch.setattr(detection, "digest", counted)
    submit_all(acme, [event(run_id=f"r{n}") for n in range(5)])
    tasks.digest_events(unknown="argument of a newer release")
    assert digested == [2, 2, 1]
    assert only_incident(acme).event_count == 5


def test_time_is_the_databases(acme: Tenant, time_travel: Travel) -> None:
    time_travel(days=3)
    fail(acme, "r1")
    opened: datetime = only_incident(acme).opened_at
    assert clock.read() - opened < timedelta(minutes=1)
