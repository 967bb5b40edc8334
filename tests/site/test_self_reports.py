"""Our own failures become incidents of the tenant `system`; nothing about itself, and nothing that exceptions say."""

import http.client
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import override_settings
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from awfdrs_site import health, heartbeat, poller, self_reports, worker_port
from awfdrs_site.celery import app
from awfdrs_site.lib import clock, failures, sweeping
from awfdrs_site.poller import sweep_once
from awfdrs_site.self_reports import SYSTEM_ID
from awfdrs_site.tasks import send_heartbeat
from events import ingest
from events.models import Event
from incidents.models import Incident
from tenants import scoping
from tenants.models import Tenant
from tests.cast import digest_all
from tests.support.outgoing import LOOPBACK
from tests.support.receiver import Receiver, Reply

pytestmark = pytest.mark.django_db
PLANTED = "hunter2-planted"


@pytest.fixture(autouse=True)
def nothing_noted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(poller, "close_old_connections", lambda: None)  # the test's is one
    _forget()
    yield
    _forget()


def _forget() -> None:
    failures.taken()
    failures._noted.clear()


def reported() -> list[dict[str, Any]]:
    """What the system tenant was told, once the poller came by."""
    sweep_once([self_reports.report_due])
    with scoping.bound(SYSTEM_ID):
        return list(
            Event.objects.for_tenant(SYSTEM_ID).order_by("id").values_list("payload", flat=True)
        )


def breaks(*_: object) -> int:
    raise RuntimeError(PLANTED)


def test_a_failed_task_becomes_an_incident_that_does_not_say_what_the_exception_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heartbeat, "send", breaks)
    assert send_heartbeat.name in app.tasks  # whose failures are noted
    send_heartbeat.apply()
    send_heartbeat.apply()  # the same within the minute is told once
    (told,) = reported()
    assert told["error_code"] == "awfdrs_site.tasks.send_heartbeat.RuntimeError"
    assert "in awfdrs_site/tasks.py" in told["error_message"] or "tests/" in told["error_message"]
    assert PLANTED not in json.dumps(told)
    digest_all()
    with scoping.bound(SYSTEM_ID):
        assert Incident.objects.for_tenant(SYSTEM_ID).get().error_code == told["error_code"]


def test_a_broken_sweep_and_a_broken_item_of_one_are_told_with_whose_it_was(acme: Tenant) -> None:
    def for_acme(_: UUID) -> None:
        with scoping.bound(acme.pk):
            breaks()

    sweep_once([breaks])
    sweeping.each([(acme.pk,)], for_acme)
    assert [told["tenant"] for told in reported()] == ["", str(acme.pk)]


def test_what_fails_for_the_system_tenant_itself_is_not_told_again() -> None:
    def for_system() -> int:
        with scoping.bound(SYSTEM_ID):
            return breaks()

    sweep_once([for_system])
    assert reported() == []


def test_what_cannot_be_told_now_is_told_later(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep_once([breaks])
    with monkeypatch.context() as away:
        away.setattr(ingest, "store", breaks)
        assert reported() == []
    assert len(reported()) == 1  # and not that telling failed


@pytest.mark.parametrize(("minutes", "is_missed"), [(3, False), (11, True), (60 * 25, False)])
def test_a_beat_that_stopped_within_the_day_is_missed(minutes: int, is_missed: bool) -> None:
    every = IntervalSchedule.objects.create(every=1, period="seconds")
    seen_at = clock.now() - timedelta(minutes=minutes)
    PeriodicTask.objects.create(name="x", task="x", interval=every, last_run_at=seen_at)
    self_reports.look_for_beat()
    told = [one["error_message"] for one in reported()]
    assert told == (["beat failed: Missed"] if is_missed else [])


def test_the_heartbeat_is_heard_outside_while_work_flows_and_only_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late: list[str] = []
    monkeypatch.setattr(health, "late", lambda: late)
    with (
        Receiver({"/refused": Reply(status=410)}) as receiver,
        override_settings(HEARTBEAT_URL=receiver.url("/ping"), OUTBOUND_ALLOW_CIDRS=LOOPBACK),
    ):
        assert heartbeat.send() == "Pinged: 200."
        late.append("oldest_undigested_seconds")
        assert "on purpose" in heartbeat.send()
        assert len(receiver.requests) == 1
        late.clear()
        with (
            override_settings(HEARTBEAT_URL=receiver.url("/refused")),
            pytest.raises(heartbeat.NotPinged, match="410"),
        ):
            heartbeat.send()
    # private addresses stay closed to it too
    with (
        override_settings(HEARTBEAT_URL="http://169.254.169.254/"),
        pytest.raises(heartbeat.NotPinged),
    ):
        heartbeat.send()


def test_a_worker_says_whether_it_sweeps_and_what_it_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = worker_port.open_port(0)

    def asked(path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=5)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    try:
        monkeypatch.setattr(poller._swept, "at", time.monotonic())
        assert asked("/health")[0] == 200
        monkeypatch.setattr(poller._swept, "at", -1000.0)
        assert asked("/health")[0] == 503
        status, text = asked("/metrics")
        assert status == 200
        assert "lease_expiries_total" in text
        assert "parked_actions" not in text  # rows are for web processes to tell
        assert asked("/elsewhere")[0] == 404
    finally:
        server.shutdown()
        server.server_close()
