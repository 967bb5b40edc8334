"""A digest and a waiver that want the same incidents never wait in a circle, and lose nothing if they do."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from time import monotonic

import pytest
from django.db import OperationalError, connections
from psycopg.errors import DeadlockDetected

from incidents import detection, inbox, keeping, lifecycle
from incidents.models import Incident, Run
from tenants.journal import SYSTEM
from tenants.models import Tenant
from tenants.scoping import bound
from tests import databases
from tests.cast import (
    Api,
    digest_all,
    event,
    failure,
    key_of,
    only_incident,
    submit,
    submit_all,
)

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_SECONDS = 30
DECLINED = failure(error_code="card_declined", error_message="No money")
EXPIRED = failure(error_code="card_expired", error_message="Too old")


def apart(work: Callable[[], object]) -> Callable[[], object]:
    """For a thread of its own: gives its connection back."""

    def run() -> object:
        try:
            return work()
        finally:
            connections.close_all()

    return run


def until_somebody_waits(owner: databases.Owner, working: Future[object]) -> None:
    """Until a transaction of this database waits for another's row, or `working` got through without."""
    waiting = """select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'"""
    end = monotonic() + PATIENCE_SECONDS
    while not working.done() and monotonic() < end:
        row = owner.connection.execute(waiting).fetchone()
        if row and row[0]:
            return
        Event().wait(0.01)


def test_a_digest_takes_the_lower_incident_before_the_higher_like_a_waiver(
    acme: Tenant,
    owner: databases.Owner,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(detection, "DEADLOCK_TRIES", 1)  # nothing mends what the order prevents
    # both incidents hurt "shared"; only the second one hurt "other"
    submit(acme, run_id="shared", payload=DECLINED)
    digest_all()
    submit_all(acme, [event(run_id=run, payload=EXPIRED) for run in ("shared", "other")])
    digest_all()
    with bound(acme.pk):
        lower, higher = Incident.objects.for_tenant(acme).order_by("id")
        shared = Run.objects.for_tenant(acme).get(run_id="shared")
    # the digest moves the second by its run, and bumps the first by its signature
    submit_all(
        acme,
        [
            event(run_id="other", event_type="payment.completed", payload={}),
            event(run_id="new", payload=DECLINED),
        ],
    )
    with ThreadPoolExecutor(1) as threads, caplog.at_level(logging.ERROR):
        with bound(acme.pk) as now:
            keeping.locked(lower)
            digesting = threads.submit(apart(digest_all))
            until_somebody_waits(owner, digesting)
            lifecycle.waive(shared, by=SYSTEM, now=now, reason="refunded")
        assert digesting.result(PATIENCE_SECONDS) == 2
    assert caplog.records == []
    with bound(acme.pk):
        counts = Incident.objects.for_tenant(acme).order_by("id")
        assert list(counts.values_list("event_count", "unrecovered_runs")) == [(2, 1), (2, 0)]
    assert lower.pk < higher.pk


def test_a_patch_that_waives_takes_them_in_the_same_order(
    acme: Tenant, owner: databases.Owner
) -> None:
    for payload in (DECLINED, EXPIRED):
        submit(acme, run_id="shared", payload=payload)
        digest_all()
    with bound(acme.pk):
        lower, higher = Incident.objects.for_tenant(acme).order_by("id")
        shared = Run.objects.for_tenant(acme).get()
    api, path = Api(key_of(acme)), f"/api/v1/incidents/{higher.pk}/status"
    body = {"status": "resolved", "waive_unrecovered": True, "reason": "given up"}
    with ThreadPoolExecutor(1) as threads:
        with bound(acme.pk) as now:
            keeping.locked(lower)
            patching = threads.submit(apart(lambda: api.call("PATCH", path, body).status_code))
            until_somebody_waits(owner, patching)
            lifecycle.waive(shared, by=SYSTEM, now=now, reason="refunded")
        assert patching.result(PATIENCE_SECONDS) == 200
    with bound(acme.pk):
        assert Run.objects.for_tenant(acme).get().recovery_note == "refunded"
        counts = Incident.objects.for_tenant(acme).values_list("unrecovered_runs", flat=True)
        assert list(counts) == [0, 0]


def test_a_batch_that_lost_a_deadlock_is_digested_again_at_once(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    submit_all(acme, [event(run_id=f"run-{n}") for n in range(5)])
    real, sizes = detection._digest_once, list[int]()

    def unlucky(tenant_id: object, claims: list[inbox.Claim]) -> None:
        sizes.append(len(claims))
        if len(sizes) < detection.DEADLOCK_TRIES:
            raise OperationalError("deadlock detected") from DeadlockDetected()
        real(acme.pk, claims)

    monkeypatch.setattr(detection, "_digest_once", unlucky)
    with caplog.at_level(logging.ERROR):
        assert digest_all() == 5
    # whole each time: it is nobody's fault, so nobody is tried alone
    assert sizes == [5] * detection.DEADLOCK_TRIES
    assert caplog.records == []
    assert only_incident(acme).event_count == 5
