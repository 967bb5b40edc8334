"""The auditor: whatever people should have been told and were not is said once, and counted while it lasts."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from actions import channel_platform, escalation_audit
from actions.channel_platform import Told
from actions.models import Delivery
from awfdrs_site.lib import clock
from tenants import scoping
from tenants.models import PlatformJournalEntry, Tenant
from tests.cast import Travel
from tests.factories import ActionFactory, DeliveryFactory, EscalationFactory, IncidentFactory
from tests.support.problem_answers import members

pytestmark = pytest.mark.django_db


def ago(**span: float) -> datetime:
    return clock.read() - timedelta(**span)


def alarms() -> list[str]:
    """What the platform's journal says, in order."""
    with scoping.platform():
        lines = PlatformJournalEntry.objects.filter(verb="people_not_told").order_by("at", "id")
        return [str(line.detail["what"]) for line in lines]


def running(tenant: Tenant, **fields: Any) -> Any:
    begun = {"action__status": "completed", "steps": [{"kind": "everybody"}]}
    return EscalationFactory(tenant=tenant, **(begun | fields))


def test_a_step_that_is_overdue_is_said_once(
    acme: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    late = running(acme, next_at=ago(minutes=3))
    assert escalation_audit.audit() == 1
    assert escalation_audit.audit() == 0
    assert alarms() == ["The next step of an escalation is overdue"]
    [record] = caplog.records
    assert (record.levelname, str(late.pk) in record.getMessage()) == ("ERROR", True)


def test_what_is_late_again_is_said_again(acme: Tenant, time_travel: Travel) -> None:
    late = running(acme, next_at=ago(minutes=3))
    escalation_audit.audit()
    with scoping.bound(acme.pk) as now:
        type(late).objects.for_tenant(acme).filter(pk=late.pk).update(next_at=now)
    assert escalation_audit.audit() == 0
    time_travel(minutes=3)
    assert escalation_audit.audit() == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"next_at": "soon"},
        {"next_at": None, "status": "ended"},
        {"next_at": "late", "ended_at": "late"},
    ],
)
def test_what_is_in_time_or_over_is_not(acme: Tenant, fields: dict[str, Any]) -> None:
    moments = {"soon": ago(minutes=1), "late": ago(minutes=3)}
    running(acme, **{name: moments.get(value, value) for name, value in fields.items()})
    assert escalation_audit.audit() == 0


def test_an_escalation_that_nobody_began_is_said(acme: Tenant) -> None:
    ActionFactory(tenant=acme, action_type="escalate", run_at=ago(minutes=3))
    ActionFactory(tenant=acme, action_type="retry", run_at=ago(minutes=3))
    escalation_audit.audit()
    assert alarms() == ["An escalation has not begun"]


def test_messages_that_wait_too_long_or_were_given_up_are_said(acme: Tenant) -> None:
    DeliveryFactory(tenant=acme, due_at=ago(minutes=9))
    DeliveryFactory(tenant=acme, due_at=ago(minutes=11))
    DeliveryFactory(tenant=acme, status="failed", attempts_made=9)
    # one that went with another was not tried itself, and a test says so where it was asked for
    DeliveryFactory(tenant=acme, status="failed")
    DeliveryFactory(tenant=acme, status="failed", kind="test")
    escalation_audit.audit()
    assert sorted(alarms()) == ["A message is overdue", *["A message was given up"] * 2]


def test_what_was_taken_back_is_no_alarm(acme: Tenant) -> None:
    incident = IncidentFactory(tenant=acme)
    action = ActionFactory(tenant=acme, incident=incident, status="reversed")
    DeliveryFactory(tenant=acme, status="failed", attempts_made=1, action=action)
    assert escalation_audit.audit() == 0


def test_staff_hear_of_all_at_once(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[dict[str, str]] = []

    def take(**told: str) -> list[Told]:
        said.append(told)
        return [Told("pager", is_taken=True)]

    monkeypatch.setattr(channel_platform, "tell_platform", take)
    late = [running(acme, next_at=ago(minutes=3)) for _ in range(2)]
    escalation_audit.audit()
    escalation_audit.audit()
    [told] = said
    assert told["subject"] == "AWFDRS: people were not told (2)"
    assert all(str(one.pk) in told["text"] for one in late)


def test_what_no_channel_of_staff_took_is_said_again(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes = iter([False, True])
    monkeypatch.setattr(channel_platform, "tell_platform", lambda **_: [Told("pager", next(takes))])
    running(acme, next_at=ago(minutes=3))
    assert [escalation_audit.audit() for _ in range(3)] == [0, 1, 0]


def test_metrics_count_it_while_it_lasts(acme: Tenant, client: Client) -> None:
    def gauges() -> list[str]:
        lines = client.get("/metrics").content.decode().splitlines()
        names = ("escalations_overdue ", "deliveries_overdue ")
        return sorted(line for line in lines if line.startswith(names))

    assert gauges() == ["deliveries_overdue 0.0", "escalations_overdue 0.0"]
    late = running(acme, next_at=ago(minutes=3))
    waiting: Delivery = DeliveryFactory(tenant=acme, due_at=ago(minutes=11))
    assert gauges() == ["deliveries_overdue 1.0", "escalations_overdue 1.0"]
    with scoping.bound(acme.pk) as now:
        type(late).objects.for_tenant(acme).filter(pk=late.pk).update(next_at=now)
        Delivery.objects.for_tenant(acme).filter(pk=waiting.pk).update(status="sent")
    assert gauges() == ["deliveries_overdue 0.0", "escalations_overdue 0.0"]


@pytest.mark.django_db(transaction=True)
def test_the_pipeline_is_late_when_a_step_is_for_more_than_a_minute(
    acme: Tenant, client: Client
) -> None:
    running(acme, next_at=ago(seconds=50))
    assert client.get("/api/v1/health/pipeline").status_code == 200
    running(acme, next_at=ago(seconds=61))
    answer = client.get("/api/v1/health/pipeline")
    assert (answer.status_code, members(answer)["late"]) == (503, ["oldest_untold_seconds"])
