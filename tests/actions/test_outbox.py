"""The outbox: what shall be heard is written with the change, once, and sent at least once."""

import ipaddress
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from pytest_django import Settings

from actions import outbox
from actions.delivery_calls import Outcome
from actions.models import Channel, Delivery
from actions.outbox import Claim
from actions.states import DeliveryKind, DeliveryStatus
from tenants import scoping, secrets
from tenants.models import Tenant
from tests.cast import Travel, acting, journal_of
from tests.factories import ChannelFactory, DeliveryFactory, IncidentFactory
from tests.support.receiver import Receiver, Reply

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.OUTBOUND_ALLOW_CIDRS = [ipaddress.ip_network("127.0.0.1/32")]
    with Receiver() as receiver:
        yield receiver


def told(tenant: Tenant, target: Channel | User, key: str = "k", **fields: Any) -> Delivery:
    with scoping.bound(tenant.pk) as now:
        said = {"kind": DeliveryKind.TRIGGERED, "subject": f"Down {key}", "text": "It is down."}
        return outbox.tell(
            tenant_id=tenant.pk, target=target, dedupe_key=key, now=now, **(said | fields)
        )


def log_of(tenant: Tenant) -> list[Delivery]:
    with scoping.bound(tenant.pk):
        return list(Delivery.objects.for_tenant(tenant).order_by("id"))


def statuses(tenant: Tenant) -> list[str]:
    return [delivery.status for delivery in log_of(tenant)]


def bodies(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in receiver.requests]


def hook(tenant: Tenant, receiver: Receiver, **fields: Any) -> Channel:
    values = {"url": receiver.url("/hook"), "group_wait_seconds": 0}
    return ChannelFactory(tenant=tenant, **(values | fields))


def claim_of(delivery: Delivery) -> Claim:
    """The lease that a worker takes before it dies."""
    claims: list[Claim] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(outbox, "run", claims.append)
        outbox.send_due()
    return next(claim for claim in claims if claim.delivery_id == delivery.pk)


def test_the_same_thing_is_told_once(acme: Tenant) -> None:
    channel = ChannelFactory(tenant=acme)
    first, again = told(acme, channel), told(acme, channel, text="said differently")
    assert again.pk == first.pk
    assert again.text == "It is down."


def test_a_channel_waits_for_what_comes_with_it_and_a_person_does_not(
    acme: Tenant, alice: User
) -> None:
    channel = ChannelFactory(tenant=acme, group_wait_seconds=10)
    by_channel, by_mail = told(acme, channel, "a"), told(acme, alice, "b")
    assert (by_channel.due_at - by_channel.created_at).total_seconds() == 10
    assert by_mail.due_at == by_mail.created_at


def test_a_person_is_told_by_mail_with_an_id_that_shows_a_duplicate(
    acme: Tenant, alice: User
) -> None:
    delivery = told(acme, alice)
    assert outbox.send_due() == 1
    assert [letter.to for letter in mail.outbox] == [["alice@example.org"]]
    assert mail.outbox[0].extra_headers["Message-ID"] == f"<{delivery.pk}@awfdrs>"
    assert statuses(acme) == [DeliveryStatus.SENT]


def test_somebody_without_an_address_is_told_in_the_console_and_the_log_says_so(
    acme: Tenant, alice: User
) -> None:
    User.objects.filter(pk=alice.pk).update(email="")
    told(acme, alice)
    outbox.send_due()
    assert mail.outbox == []
    assert [(line.status, line.response_excerpt) for line in log_of(acme)] == [
        ("sent", "No e-mail address; shown in the console.")
    ]


def test_a_delivery_rolled_back_with_its_change_is_never_sent(
    acme: Tenant, receiver: Receiver
) -> None:
    channel = hook(acme, receiver)

    def change_that_breaks() -> None:
        with scoping.bound(acme.pk):
            told(acme, channel)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change_that_breaks()
    assert outbox.send_due() == 0
    assert receiver.requests == []


def test_a_receiver_that_was_down_ten_minutes_hears_it_when_it_is_back(
    acme: Tenant, receiver: Receiver, time_travel: Travel
) -> None:
    receiver.answer("/hook", Reply(status=503, body=b"maintenance"))
    delivery = told(acme, hook(acme, receiver))
    for _ in range(10):
        outbox.send_due()
        time_travel(minutes=1)
    down = log_of(acme)[0]
    assert (down.status, down.response_status, down.response_excerpt) == (
        "pending",
        503,
        "maintenance",
    )
    assert down.attempts_made >= 5

    receiver.answer("/hook", Reply())
    time_travel(minutes=15)
    outbox.send_due()
    assert statuses(acme) == ["sent"]
    # however often it was sent, it is recognisable as one
    assert {body["id"] for body in bodies(receiver)} == {str(delivery.pk)}


def test_it_goes_on_for_a_day_then_fails_and_the_incident_says_so(
    acme: Tenant, receiver: Receiver, time_travel: Travel
) -> None:
    receiver.answer("/hook", Reply(status=500))
    incident = IncidentFactory(tenant=acme)
    delivery = told(acme, hook(acme, receiver), incident=incident)
    hours = 0.0
    while log_of(acme)[0].status == "pending":
        outbox.send_due()
        time_travel(minutes=30)
        hours += 0.5
    assert 24 <= hours <= 25.5
    failed = log_of(acme)[0]
    assert failed.status == "failed"
    assert "within a day" in failed.error
    assert failed.attempts_made > 40
    assert delivery.expires_at - delivery.created_at == timedelta(hours=24)
    assert "delivery_failed" in journal_of(acme, incident.pk)


@pytest.mark.parametrize("status", [302, 400, 401, 404, 410])
def test_an_answer_that_cannot_change_fails_at_once_and_is_kept(
    acme: Tenant, receiver: Receiver, status: int
) -> None:
    receiver.answer("/hook", Reply(status=status, body=b"no such hook"))
    told(acme, hook(acme, receiver))
    outbox.send_due()
    line = log_of(acme)[0]
    assert (line.status, line.response_status, line.response_excerpt) == (
        "failed",
        status,
        "no such hook",
    )
    assert f"answered {status}" in line.error


def test_it_comes_again_as_late_as_the_receiver_asks(acme: Tenant, receiver: Receiver) -> None:
    receiver.answer("/hook", Reply(status=429, headers={"Retry-After": "120"}))
    delivery = told(acme, hook(acme, receiver))
    outbox.send_due()
    wait = log_of(acme)[0].due_at - delivery.created_at
    assert timedelta(seconds=119) < wait < timedelta(seconds=180)


def test_what_comes_within_the_wait_goes_out_as_one_message(
    acme: Tenant, receiver: Receiver, time_travel: Travel
) -> None:
    channel = hook(acme, receiver, group_wait_seconds=30)
    for key in "abc":
        told(acme, channel, key)
        assert outbox.send_due() == 0
    time_travel(seconds=31)
    outbox.send_due()
    assert len(receiver.requests) == 1
    assert [body["subject"] for body in bodies(receiver)] == ["Down a"]
    assert [more["subject"] for more in bodies(receiver)[0]["more"]] == ["Down b", "Down c"]
    first, *others = log_of(acme)
    assert first.status == "sent"
    assert [(line.status, line.sent_with_id) for line in others] == [("grouped", first.pk)] * 2


def test_a_message_that_is_tried_again_carries_what_it_carried(
    acme: Tenant, receiver: Receiver, time_travel: Travel
) -> None:
    """A receiver that drops the second copy by its id would drop what was added."""
    channel = hook(acme, receiver)
    receiver.answer("/hook", Reply(hangs_up=True))
    told(acme, channel, "a")
    told(acme, channel, "b")
    outbox.send_due()
    told(acme, channel, "late")
    receiver.answer("/hook", Reply())
    time_travel(minutes=1)
    outbox.send_due()
    first, again, late = bodies(receiver) if bodies(receiver)[1]["more"] else _swapped(receiver)
    assert first == again
    assert [more["subject"] for more in again["more"]] == ["Down b"]
    assert (late["subject"], late["more"]) == ("Down late", [])
    assert statuses(acme) == ["sent", "grouped", "sent"]


def _swapped(receiver: Receiver) -> list[dict[str, Any]]:
    first, late, again = bodies(receiver)
    return [first, again, late]


def test_above_the_cap_the_rest_is_kept_for_one_digest(
    acme: Tenant, receiver: Receiver, time_travel: Travel
) -> None:
    channel = hook(acme, receiver, hourly_cap=2)
    for key in "abcde":
        told(acme, channel, key)
        outbox.send_due()
    assert len(receiver.requests) == 2
    assert statuses(acme) == ["sent", "sent", "pending", "pending", "pending"]
    assert "one digest" in log_of(acme)[2].error

    time_travel(minutes=59)
    assert outbox.send_due() == 0
    time_travel(minutes=2)
    outbox.send_due()
    assert len(receiver.requests) == 3
    assert len(bodies(receiver)[2]["more"]) == 2


def test_what_is_critical_is_never_kept_for_the_digest(acme: Tenant, receiver: Receiver) -> None:
    channel = hook(acme, receiver, hourly_cap=0)
    told(acme, channel, "low")
    outbox.send_due()
    assert receiver.requests == []
    told(acme, channel, "worst", incident=IncidentFactory(tenant=acme, severity="critical"))
    outbox.send_due()
    assert len(receiver.requests) == 1
    assert {line.status for line in log_of(acme)} == {"sent", "grouped"}


def test_what_a_killed_worker_was_sending_is_sent_again_with_the_same_id(
    acme: Tenant, receiver: Receiver, time_travel: Travel
) -> None:
    delivery = told(acme, hook(acme, receiver))
    claim = claim_of(delivery)
    message = outbox.start(claim)
    assert message is not None
    assert outbox.send_due() == 0  # while its lease holds, nobody else sends it

    time_travel(seconds=outbox.LEASE_SECONDS + 1)
    assert outbox.send_due() == 1
    assert [body["id"] for body in bodies(receiver)] == [str(delivery.pk)]
    assert log_of(acme)[0].attempts_made == 2
    # the one that was only asleep changes nothing any more
    outbox.settle(claim, Outcome("final", error="too late"))
    assert statuses(acme) == ["sent"]


def test_an_alert_is_closed_after_it_was_opened_however_that_went(
    acme: Tenant, receiver: Receiver, time_travel: Travel
) -> None:
    channel = hook(acme, receiver, kind="pagerduty")
    incident = IncidentFactory(tenant=acme)
    receiver.answer("/hook", Reply(status=503))
    told(acme, channel, "open", incident=incident)
    outbox.send_due()
    receiver.answer("/hook", Reply(status=202))
    told(acme, channel, "close", incident=incident, kind=DeliveryKind.RESOLVED)
    outbox.send_due()
    assert statuses(acme) == ["pending", "pending"]
    for _ in range(3):
        time_travel(seconds=15)
        outbox.send_due()
    assert [body["event_action"] for body in bodies(receiver)] == ["trigger", "trigger", "resolve"]
    assert statuses(acme) == ["sent", "sent"]


def test_a_switched_off_channel_and_an_unreadable_secret_fail_in_words(
    acme: Tenant, receiver: Receiver
) -> None:
    told(acme, hook(acme, receiver, is_active=False), "off")
    told(acme, hook(acme, receiver, secret_sealed="v1.other.key"), "sealed")
    outbox.send_due()
    assert receiver.requests == []
    assert [line.error for line in log_of(acme)] == [
        "The channel is switched off.",
        "A stored secret cannot be read. Enter it again.",
    ]


def test_an_address_that_is_refused_when_it_is_sent_is_never_called(
    acme: Tenant, receiver: Receiver, settings: Settings
) -> None:
    settings.OUTBOUND_ALLOW_CIDRS = []
    told(acme, hook(acme, receiver))
    outbox.send_due()
    assert receiver.requests == []
    line = log_of(acme)[0]
    assert line.status == "failed"
    assert "not a public address" in line.error


def test_an_answer_that_echoes_the_request_shows_no_secret(
    acme: Tenant, receiver: Receiver
) -> None:
    receiver.answer("/hook", lambda request: Reply(status=400, body=request.body))
    channel = hook(acme, receiver, kind="pagerduty")
    with scoping.bound(acme.pk):
        channel.secret_sealed = secrets.seal(
            "R0UT1NGKEY12345", tenant_id=acme.pk, row_id=channel.pk
        )
        channel.save()
    told(acme, channel)
    outbox.send_due()
    assert b"R0UT1NGKEY12345" in receiver.requests[0].body
    line = log_of(acme)[0]
    assert "R0UT1NGKEY12345" not in line.response_excerpt
    assert "[redacted]" in line.response_excerpt


def test_again_is_a_line_of_its_own_and_two_clicks_are_one(
    acme: Tenant, receiver: Receiver, alice: User
) -> None:
    failed = DeliveryFactory(tenant=acme, channel=hook(acme, receiver), status="failed")
    with scoping.bound(acme.pk) as now:
        again = outbox.resend(failed, by=acting(alice), now=now)
        assert outbox.resend(failed, by=acting(alice), now=now).pk == again.pk
        with pytest.raises(outbox.ResendRefused):
            outbox.resend(again, by=acting(alice), now=now)
    outbox.send_due()
    assert statuses(acme) == ["failed", "sent"]
    with scoping.bound(acme.pk) as now:
        third = outbox.resend(log_of(acme)[1], by=acting(alice), now=now)
    assert third.dedupe_key == f"{failed.dedupe_key}#again:2"
    assert journal_of(acme, failed.incident_id).count("delivery_resent") == 2


def test_one_click_sends_at_once(acme: Tenant, receiver: Receiver) -> None:
    channel = hook(acme, receiver, group_wait_seconds=3600, hourly_cap=0)
    delivery = told(acme, channel, kind=DeliveryKind.TEST)
    outbox.send_at_once(tenant_id=acme.pk, delivery_id=delivery.pk)
    assert len(receiver.requests) == 1
    line = log_of(acme)[0]
    assert (line.status, line.response_status) == ("sent", 200)
    assert line.latency_ms is not None
