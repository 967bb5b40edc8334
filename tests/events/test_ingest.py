"""One event per key, whoever posts it how often: `ingest.store`, the only way in."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError
from django.dispatch import Signal
from pytest_django import DjangoCaptureOnCommitCallbacks
from pytest_django.fixtures import Settings

from awfdrs_site.lib import clock, ids
from awfdrs_site.lib.failpoints import FailpointReached
from events import ingest
from events.models import EventKey, PendingEvent
from events.signals import events_stored
from events.validation import IncomingEvent, parse_event
from tenants import scoping
from tenants.models import Tenant, Workflow
from tests.cast import Travel, event, stored, submission, submit, submit_all
from tests.factories import WorkflowFactory
from tests.threads import at_once

pytestmark = pytest.mark.django_db


def pending_of(tenant: Tenant) -> list[UUID]:
    with scoping.bound(tenant.pk):
        return list(PendingEvent.objects.for_tenant(tenant).values_list("id", flat=True))


def workflows_of(tenant: Tenant) -> list[str]:
    with scoping.bound(tenant.pk):
        return list(Workflow.objects.for_tenant(tenant).values_list("slug", flat=True))


def test_a_stored_event_waits_in_the_inbox_with_everything_it_said(acme: Tenant) -> None:
    verdict = submit(
        acme, run_id="run-7", idempotency_key="k1", region="eu", payload={"vendor": " stripe "}
    )
    (kept,) = stored(acme)
    assert verdict.status == "accepted"
    assert (kept.pk, kept.run_ref, kept.vendor_name) == (verdict.event_id, "run-7", "stripe")
    assert kept.extra == {"region": "eu"}
    assert kept.correlation_id == verdict.correlation_id == "corr-1"
    assert pending_of(acme) == [kept.pk]
    # its id says when we received it, by the database's clock: that is how it finds its day's partition
    assert abs(ids.made_at(kept.pk) - kept.received_at) < timedelta(milliseconds=2)


def test_the_same_event_again_gets_the_same_answer(acme: Tenant) -> None:
    body = event(idempotency_key="k1", surprise=True)
    first = submit(acme, **body)
    again = submit(acme, **body)
    assert (first.status, again.status) == ("accepted", "replayed")
    assert again.event_id == first.event_id
    assert again.body() == first.body()
    assert first.body()["warnings"]  # they are replayed too
    assert len(stored(acme)) == len(pending_of(acme)) == 1


def test_without_a_key_the_content_is_the_key(acme: Tenant) -> None:
    body = event()
    assert submit(acme, **body).status == "accepted"
    assert submit(acme, **body).status == "replayed"
    other = {**body, "payload": {**body["payload"], "amount": 1}}
    assert submit(acme, **other).status == "accepted"


def test_a_key_used_for_other_content_is_told_which_fields_differ(acme: Tenant) -> None:
    body = event(idempotency_key="k1")
    submit(acme, **body)
    refused = submit(acme, **{**body, "event_type": "payment.error", "payload": {"a": 1}})
    assert (refused.status, refused.error) == ("rejected", "idempotency_key_reused")
    assert refused.differing == ("event_type", "payload")
    assert refused.event_id is None  # whose it is stays unsaid
    assert len(stored(acme)) == 1


def test_the_same_key_of_another_tenant_is_another_event(acme: Tenant, globex: Tenant) -> None:
    body = event(idempotency_key="k1")
    ours, theirs = submit(acme, **body), submit(globex, **body)
    assert ours.status == theirs.status == "accepted"
    assert ours.event_id != theirs.event_id
    assert [e.pk for e in stored(acme)] == [ours.event_id]


def test_a_batch_is_answered_in_order_and_may_repeat_itself(acme: Tenant) -> None:
    one, two = event(idempotency_key="one"), event(idempotency_key="two")
    clash = {**one, "payload": {}}
    verdicts = submit_all(acme, [one, two, one, clash])
    assert [v.status for v in verdicts] == ["accepted", "accepted", "replayed", "rejected"]
    assert verdicts[2].event_id == verdicts[0].event_id
    assert verdicts[3].differing == ("payload",)
    assert len(stored(acme)) == 2


def test_one_bad_item_keeps_no_other_from_being_stored(acme: Tenant) -> None:
    good, bad = event(idempotency_key="a"), event(idempotency_key="b")
    del bad["workflow"]
    submissions = [
        submission(acme, **good),
        ingest.Submission(_of_workflow(acme, uuid4()), "corr-2"),
        submission(acme, **event(idempotency_key="c")),
    ]
    verdicts = ingest.store(acme.pk, submissions)
    assert [v.status for v in verdicts] == ["accepted", "rejected", "accepted"]
    assert verdicts[1].error == "unknown_workflow"


def _of_workflow(tenant: Tenant, workflow_id: UUID) -> IncomingEvent:
    body = event(workflow_id=str(workflow_id))
    del body["workflow"]
    return parse_event(body, tenant_id=tenant.pk, now=clock.read(), retention_days=90)


def test_a_workflow_is_named_by_slug_or_by_id(acme: Tenant) -> None:
    known = WorkflowFactory(tenant=acme, slug="checkout")
    by_id = ingest.store(acme.pk, [ingest.Submission(_of_workflow(acme, known.pk), "c")])
    by_slug = submit(acme)
    assert by_id[0].status == by_slug.status == "accepted"
    assert {e.workflow_id for e in stored(acme)} == {known.pk}


def test_another_tenants_workflow_id_is_unknown(acme: Tenant, globex: Tenant) -> None:
    foreign = WorkflowFactory(tenant=globex)
    (verdict,) = ingest.store(acme.pk, [ingest.Submission(_of_workflow(acme, foreign.pk), "c")])
    assert (verdict.status, verdict.error) == ("rejected", "unknown_workflow")


def test_an_unknown_slug_registers_its_workflow_once(acme: Tenant) -> None:
    submit_all(acme, [event(workflow="nightly", run_id="1"), event(workflow="nightly", run_id="2")])
    assert workflows_of(acme) == ["nightly"]


def test_known_and_new_workflows_share_a_batch_and_its_keys(acme: Tenant) -> None:
    WorkflowFactory(tenant=acme, slug="checkout")
    known, new = event(idempotency_key="a"), event(idempotency_key="b", workflow="nightly")
    verdicts = submit_all(acme, [known, new, new, known])
    assert [v.status for v in verdicts] == ["accepted", "accepted", "replayed", "replayed"]
    assert [v.event_id for v in verdicts[2:]] == [verdicts[1].event_id, verdicts[0].event_id]
    assert workflows_of(acme) == ["checkout", "nightly"]


def test_a_tenant_may_refuse_workflows_it_does_not_know(acme: Tenant) -> None:
    with scoping.platform():
        Tenant.objects.filter(pk=acme.pk).update(registers_workflows=False)
    WorkflowFactory(tenant=acme, slug="checkout")
    assert submit(acme).status == "accepted"
    assert submit(acme, workflow="nightly").error == "unknown_workflow"


def test_slugs_stop_registering_at_the_limit(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "WORKFLOW_LIMIT", 2)
    assert [submit(acme, workflow=slug).status for slug in ("a", "b", "c", "a")] == [
        "accepted",
        "accepted",
        "rejected",
        "accepted",
    ]


def test_a_dry_run_answers_and_stores_nothing(acme: Tenant) -> None:
    (verdict,) = ingest.store(acme.pk, [submission(acme)], dry_run=True)
    assert verdict.status == "accepted"
    assert stored(acme) == []
    assert workflows_of(acme) == []


def test_storing_nothing_is_fine(acme: Tenant) -> None:
    assert ingest.store(acme.pk, []) == []


def received(signal: Signal, into: list[list[UUID]]) -> None:
    signal.connect(lambda event_ids, **_: into.append(event_ids), weak=False, dispatch_uid="test")


def test_what_is_new_is_told_once_committed(
    acme: Tenant, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    told: list[list[UUID]] = []
    received(events_stored, told)
    try:
        body = event(idempotency_key="k1")
        for _ in range(2):
            with django_capture_on_commit_callbacks(execute=True):
                verdict = submit(acme, **body)
                assert told in ([], [[verdict.event_id]])
    finally:
        events_stored.disconnect(dispatch_uid="test")
    # ids only, and only of what this call stored
    assert told == [[verdict.event_id]]


@pytest.mark.django_db(transaction=True)
def test_fifty_at_once_with_one_key_store_one_event(acme: Tenant) -> None:
    WorkflowFactory(tenant=acme, slug="checkout")
    given = submission(acme, idempotency_key="k1")
    verdicts = at_once(50, lambda _: ingest.store(acme.pk, [given])[0])
    # G2: rows 1, distinct ids 1; check-then-insert stored up to 40 of 40 (M7)
    assert sorted(v.status for v in verdicts) == ["accepted", *["replayed"] * 49]
    assert len({v.event_id for v in verdicts}) == 1
    assert len({str(v.body()) for v in verdicts}) == 1
    assert len(stored(acme)) == len(pending_of(acme)) == 1


@pytest.mark.django_db(transaction=True)
def test_batches_with_the_same_keys_in_other_orders_do_not_block_each_other(acme: Tenant) -> None:
    WorkflowFactory(tenant=acme, slug="checkout")
    given = [submission(acme, idempotency_key=f"k{n}") for n in range(40)]
    orders = [given, given[::-1], given[20:] + given[:20], given[::2] + given[1::2]]
    answers = at_once(8, lambda number: ingest.store(acme.pk, orders[number % 4]))
    assert sum(v.status == "accepted" for answer in answers for v in answer) == 40
    assert len(stored(acme)) == 40


@pytest.mark.django_db(transaction=True)
def test_a_new_slug_seen_by_many_at_once_is_one_workflow(acme: Tenant) -> None:
    verdicts = at_once(8, lambda number: submit(acme, workflow="fresh", run_id=f"r{number}"))
    assert {v.status for v in verdicts} == {"accepted"}
    assert workflows_of(acme) == ["fresh"]


@pytest.mark.django_db(transaction=True)
def test_a_crash_before_the_commit_leaves_nothing(acme: Tenant, settings: Settings) -> None:
    settings.AWF_FAILPOINTS = "ingest.before_commit=raise"
    with pytest.raises(FailpointReached):
        submit(acme, idempotency_key="k1")
    settings.AWF_FAILPOINTS = ""
    with scoping.bound(acme.pk):
        assert not EventKey.objects.for_tenant(acme).exists()
    assert submit(acme, idempotency_key="k1").status == "accepted"


@pytest.mark.django_db(transaction=True)
def test_a_crash_after_the_commit_is_healed_by_the_clients_second_try(
    acme: Tenant, settings: Settings
) -> None:
    body = event(idempotency_key="k1")
    settings.AWF_FAILPOINTS = "ingest.after_commit=raise"
    with pytest.raises(FailpointReached):
        submit(acme, **body)
    settings.AWF_FAILPOINTS = ""
    # G1: nobody was told, everything is there
    assert submit(acme, **body).status == "replayed"
    assert len(pending_of(acme)) == 1


@pytest.mark.django_db(transaction=True)
def test_a_missing_day_is_made_by_whoever_misses_it(acme: Tenant, time_travel: Travel) -> None:
    time_travel(days=40)  # beat was dead for weeks
    verdicts = at_once(4, lambda number: submit(acme, run_id=f"r{number}"))
    assert {v.status for v in verdicts} == {"accepted"}
    assert len(stored(acme)) == 4


def test_an_integrity_error_of_another_kind_is_not_swallowed(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise IntegrityError("something else")

    monkeypatch.setattr(ingest, "_store", refuse)
    with pytest.raises(IntegrityError, match="something else"):
        ingest.store(acme.pk, [])
