"""Tickets: one per incident and tracker, asked for by hand or by a policy, closed and opened with the incident."""

import ipaddress
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from actions import execution, outbox, tickets
from actions.models import Action, Channel, Delivery, Ticket
from actions.states import DeliveryKind
from incidents import lifecycle as incident_lifecycle
from incidents.models import Incident
from tenants import scoping, secrets
from tenants.journal import SYSTEM
from tenants.models import Tenant
from tenants.states import Scope
from tests.cast import Api, Travel, journal_of, key_of, signed_in
from tests.factories import ChannelFactory, IncidentFactory, TicketFactory
from tests.support.receiver import Received, Receiver, Reply

pytestmark = pytest.mark.django_db(transaction=True)

ISSUE = {"number": 41, "html_url": "https://github.example.org/acme/shop/issues/41"}


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.OUTBOUND_ALLOW_CIDRS = [ipaddress.ip_network("127.0.0.1/32")]
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def incident(acme: Tenant) -> Incident:
    return IncidentFactory(tenant=acme, status="escalated")


def tracker(tenant: Tenant, receiver: Receiver, kind: str = "github") -> Channel:
    """A tracker that remembers its issues, as GitHub does."""
    url = receiver.url() if kind == "github" else receiver.url("/tickets")
    channel = ChannelFactory(tenant=tenant, kind=kind, url=url, config={"repository": "acme/shop"})
    with scoping.bound(tenant.pk):
        channel.secret_sealed = secrets.seal(
            "ghp_0123456789", tenant_id=tenant.pk, row_id=channel.pk
        )
        channel.save()
    issues = "/repos/acme/shop/issues"
    for path in (issues, f"{issues}/41"):
        receiver.answer(path, Reply(status=200, body=json.dumps(ISSUE).encode()))
    receiver.answer("/search/issues", Reply(body=b'{"items": []}'))
    return channel


def ask(tenant: Tenant, incident: Incident, kind: str, **parameters: Any) -> Any:
    body = {"action_type": kind, "parameters": parameters}
    token = key_of(tenant, Scope.READ, Scope.OPERATE)
    return Api(token).post(f"/api/v1/incidents/{incident.pk}/actions", body)


def only_ticket(tenant: Tenant) -> Ticket:
    with scoping.bound(tenant.pk):
        return Ticket.objects.for_tenant(tenant).get()


def action_of(tenant: Tenant, answer: Any) -> Action:
    with scoping.bound(tenant.pk):
        return Action.objects.for_tenant(tenant).get(pk=answer.json()["id"])


def calls(receiver: Receiver) -> list[tuple[str, str]]:
    return [(request.method, request.path) for request in receiver.requests]


def test_a_person_asks_for_a_ticket_and_gets_its_link(
    acme: Tenant, receiver: Receiver, incident: Incident
) -> None:
    channel = tracker(acme, receiver)
    answer = ask(acme, incident, "ticket", channel=str(channel.pk))
    assert answer.status_code == 201
    execution.run_due()
    action = action_of(acme, answer)
    assert (action.status, action.waiting_reason) == ("completed", "")
    ticket = only_ticket(acme)
    assert (ticket.status, ticket.external_id, ticket.url) == ("open", "41", ISSUE["html_url"])
    assert "ticket_opened" in journal_of(acme, incident.pk)


def test_the_incident_shows_its_ticket_with_its_link(
    acme: Tenant, incident: Incident, alice: User
) -> None:
    tracker = ChannelFactory(tenant=acme, kind="github", name="shop issues")
    TicketFactory(
        tenant=acme,
        incident=incident,
        channel=tracker,
        status="open",
        external_id="41",
        url=ISSUE["html_url"],
    )
    shown = signed_in(alice).get(f"/incidents/{incident.pk}/actions/").content.decode()
    for said in (f'href="{ISSUE["html_url"]}"', "Ticket 41", "shop issues", "Open"):
        assert said in shown


def test_an_incident_has_one_ticket_in_one_tracker_whoever_asks(
    acme: Tenant, receiver: Receiver, incident: Incident
) -> None:
    channel = tracker(acme, receiver)
    ask(acme, incident, "ticket", channel=str(channel.pk))
    execution.run_due()
    ask(acme, incident, "ticket", channel=str(channel.pk))
    with scoping.bound(acme.pk) as now:  # and an escalation whose step is the tracker
        outbox.tell(
            tenant_id=acme.pk,
            kind=DeliveryKind.TRIGGERED,
            target=channel,
            subject="INC",
            text="text",
            dedupe_key="escalation:1",
            incident=incident,
            now=now,
        )
    execution.run_due()
    outbox.send_due()
    assert calls(receiver) == [("POST", "/repos/acme/shop/issues")]
    with scoping.bound(acme.pk):
        assert Delivery.objects.for_tenant(acme).count() == 1


def test_a_ticket_closes_with_its_incident_and_opens_again_with_it(
    acme: Tenant, receiver: Receiver, incident: Incident
) -> None:
    channel = tracker(acme, receiver)
    ask(acme, incident, "ticket", channel=str(channel.pk))
    execution.run_due()
    assert tickets.follow_due() == 0  # nothing moved

    with scoping.bound(acme.pk) as now:
        incident_lifecycle.resolve(incident, by=SYSTEM, reason="recovered", now=now)
    for _ in range(2):  # a sweep that runs twice closes once
        tickets.follow_due()
    outbox.send_due()
    assert only_ticket(acme).status == "closed"
    assert calls(receiver)[1:] == [
        ("PATCH", "/repos/acme/shop/issues/41"),
        ("POST", "/repos/acme/shop/issues/41/comments"),
    ]
    assert b"recovered" in receiver.requests[2].body

    with scoping.bound(acme.pk) as now:
        incident_lifecycle.reopen(incident, by=SYSTEM, now=now, reason="again")
    for _ in range(2):
        tickets.follow_due()
    outbox.send_due()
    assert only_ticket(acme).status == "open"
    assert json.loads(receiver.requests[3].body) == {"state": "open"}
    assert len(receiver.requests) == 5


def test_an_issue_made_unseen_is_found_instead_of_made_twice(
    acme: Tenant, receiver: Receiver, incident: Incident, time_travel: Travel
) -> None:
    channel = tracker(acme, receiver)
    receiver.answer("/repos/acme/shop/issues", Reply(hangs_up=True))  # made, and nobody heard of it
    answer = ask(acme, incident, "ticket", channel=str(channel.pk))
    execution.run_due()
    assert action_of(acme, answer).status == "pending"
    found = json.dumps({"items": [ISSUE]}).encode()
    receiver.answer("/search/issues", Reply(body=found))
    time_travel(minutes=1)
    outbox.send_due()
    execution.run_due()
    assert action_of(acme, answer).status == "completed"
    assert only_ticket(acme).external_id == "41"
    assert [method for method, _ in calls(receiver)] == ["POST", "GET"]


def test_a_generic_tracker_names_its_ticket_and_no_link_but_the_webs(
    acme: Tenant, receiver: Receiver, incident: Incident
) -> None:
    channel = ChannelFactory(tenant=acme, kind="ticket", url=receiver.url("/tickets"))

    def answer(request: Received) -> Reply:
        return Reply(body=b'{"id": "T-7", "url": "javascript:alert(1)"}')

    receiver.answer("/tickets", answer)
    ask(acme, incident, "ticket", channel=str(channel.pk))
    execution.run_due()
    ticket = only_ticket(acme)
    assert (ticket.status, ticket.external_id, ticket.url) == ("open", "T-7", "")


def test_a_person_sends_a_message_to_one_channel(
    acme: Tenant, receiver: Receiver, incident: Incident
) -> None:
    channel = ChannelFactory(tenant=acme, url=receiver.url("/hook"), group_wait_seconds=3600)
    answer = ask(acme, incident, "notify", channel=str(channel.pk), text="We are on it.")
    execution.run_due()
    assert action_of(acme, answer).status == "completed"
    body = json.loads(receiver.requests[0].body)
    assert body["type"] == "notice"
    assert body["text"].startswith("We are on it.")


def test_a_message_that_is_refused_fails_its_action_with_the_answer(
    acme: Tenant, receiver: Receiver, incident: Incident
) -> None:
    receiver.answer("/hook", Reply(status=404))
    channel = ChannelFactory(tenant=acme, url=receiver.url("/hook"))
    answer = ask(acme, incident, "notify", channel=str(channel.pk))
    execution.run_due()
    action = action_of(acme, answer)
    assert action.status == "failed"
    assert "answered 404" in action.result["error"]


@pytest.mark.parametrize(
    ("kind", "parameters", "pointer"),
    [
        ("notify", {}, "/parameters/channel"),
        ("notify", {"channel": 7}, "/parameters/channel"),
        ("notify", {"channel": "01950000-0000-7000-8000-000000000001"}, "/parameters/channel"),
        ("retry", {}, "/parameters/run"),
        ("rollback", {"action": "x"}, "/parameters/action"),
        ("circuit_breaker_open", {"reason": "why"}, None),  # 403: needs more than `operate`
        ("kill_switch_activate", {"reason": "why"}, None),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_wrong(
    acme: Tenant, incident: Incident, kind: str, parameters: dict[str, Any], pointer: str | None
) -> None:
    answer = ask(acme, incident, kind, **parameters)
    if pointer is None:
        assert answer.status_code == 403
        return
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_a_message_is_no_ticket_and_a_ticket_no_message(
    acme: Tenant, receiver: Receiver, incident: Incident
) -> None:
    github, hook = tracker(acme, receiver), ChannelFactory(tenant=acme)
    assert ask(acme, incident, "notify", channel=str(github.pk)).status_code == 422
    assert ask(acme, incident, "ticket", channel=str(hook.pk)).status_code == 422


def test_another_tenants_channel_is_no_channel(
    acme: Tenant, globex: Tenant, incident: Incident
) -> None:
    foreign = ChannelFactory(tenant=globex)
    answer = ask(acme, incident, "notify", channel=str(foreign.pk))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["detail"] == "There is no such channel."


def test_messages_asked_for_are_held_while_their_kind_is_stopped(
    acme: Tenant, receiver: Receiver, incident: Incident
) -> None:
    """Telling people goes on while a tenant is stopped: only a switch of its own kind holds it."""
    channel = ChannelFactory(tenant=acme, url=receiver.url("/hook"))
    token = key_of(acme)
    stop = {"scope": "action_type", "target": "notify", "reason": "look first"}
    assert Api(token).post("/api/v1/kill-switches", stop).status_code == 201
    answer = ask(acme, incident, "notify", channel=str(channel.pk))
    execution.run_due()
    assert action_of(acme, answer).status == "parked"
    assert receiver.requests == []


def test_an_incident_is_escalated_by_asking(acme: Tenant) -> None:
    incident = IncidentFactory(tenant=acme, status="detected")
    answer = ask(acme, incident, "escalate", reason="They called us.")
    assert answer.status_code == 201
    assert answer.json()["action_type"] == "escalate"
    with scoping.bound(acme.pk):
        assert Incident.objects.for_tenant(acme).get(pk=incident.pk).status == "escalated"
