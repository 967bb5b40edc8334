"""What was sent cannot be called back; the workflow can be asked to undo it, once, with a key of its own (M38)."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from actions import compensation, execution, signing_secrets
from actions.claiming import Claim
from actions.compensation import NotCompensable
from actions.models import Action
from actions.states import ActionType, Status, Verification
from incidents.models import Incident
from incidents.states import RunState
from safety import breaker
from tenants import scoping
from tenants.journal import SYSTEM, Actor
from tenants.models import Tenant, Workflow
from tests.cast import Api, journal_of, key_of, signed_in
from tests.factories import (
    ActionFactory,
    IncidentFactory,
    RunFactory,
    VendorFactory,
    WorkflowFactory,
)
from tests.support.outgoing import LOOPBACK
from tests.support.problem_answers import members
from tests.support.receiver import Receiver, Reply

pytestmark = pytest.mark.django_db(transaction=True)

ALICE = Actor("user", "1", "alice")


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.OUTBOUND_ALLOW_CIDRS = LOOPBACK
    with Receiver() as receiver:
        yield receiver


def sent(tenant: Tenant, url: str, *, idempotent: str = "key", **fields: Any) -> Action:
    """A retry that its workflow accepted, and that the workflow can undo."""
    workflow = WorkflowFactory(tenant=tenant, compensate_url=url, idempotent=idempotent)
    with scoping.bound(tenant.pk) as now:
        signing_secrets.rotate(workflow, by=SYSTEM, now=now)
        workflow = Workflow.objects.for_tenant(tenant).get(pk=workflow.pk)
    incident = IncidentFactory(tenant=tenant, workflow=workflow, status="analyzing")
    run = RunFactory(
        tenant=tenant, workflow=workflow, incident=incident, state=RunState.RECOVERED_BY_ACTION
    )
    done = {"status": Status.COMPLETED, "verification": Verification.VERIFIED, "attempts_made": 1}
    return ActionFactory(**done | {"tenant": tenant, "incident": incident, "run": run} | fields)


def ask(action: Action, by: Actor = ALICE) -> Action:
    with scoping.bound(action.tenant_id) as now:
        return compensation.ask(action, reason="charged twice", by=by, now=now)


def again(action: Action) -> Action:
    with scoping.bound(action.tenant_id):
        mine = Action.objects.for_tenant(action.tenant_id).select_related("incident", "run")
        found: Action = mine.get(pk=action.pk)
    return found


def test_one_signed_call_with_a_key_of_its_own(acme: Tenant, receiver: Receiver) -> None:
    retry = sent(acme, receiver.url("/undo"))
    asked = ask(retry)
    assert execution.run_due() == 1
    (request,) = receiver.requests
    body = json.loads(request.body)
    assert request.headers["idempotency-key"] == f"act_{asked.pk}" != retry.idempotency_key
    assert (body["action_id"], body["compensates"]) == (str(asked.pk), str(retry.pk))
    assert (body["compensates_key"], body["reason"]) == (retry.idempotency_key, "charged twice")
    assert "webhook-signature" in request.headers
    asked = again(asked)
    assert (asked.status, asked.action_type) == (Status.COMPLETED, ActionType.ROLLBACK)
    # accepted is not done: the run has to report it
    assert asked.verification == Verification.PENDING
    assert again(retry).status == Status.COMPLETED
    assert asked.run is not None
    assert asked.run.state == RunState.RECOVERED_BY_ACTION


def test_where_repeating_is_not_harmless_somebody_else_must_approve(
    acme: Tenant, receiver: Receiver
) -> None:
    asked = ask(sent(acme, receiver.url("/undo"), idempotent="no"))
    assert asked.status == Status.AWAITING_APPROVAL
    assert execution.run_due() == 0
    asked = again(asked)
    assert asked.approval_id is not None
    assert asked.requested_by_id == ALICE.id  # who asks does not approve


def test_it_is_asked_for_once(acme: Tenant) -> None:
    retry = sent(acme, "https://example.org/undo")
    first = ask(retry)
    with pytest.raises(NotCompensable, match="already") as refused:
        ask(retry)
    assert refused.value.asked == first
    assert journal_of(acme, first.pk) == ["planned"]


@pytest.mark.parametrize(
    ("fields", "url", "why"),
    [
        ({}, "", "no compensate_url"),
        ({"status": Status.PENDING}, "https://example.org/undo", "is pending"),
        ({"status": Status.FAILED}, "https://example.org/undo", "is failed"),
        ({"action_type": "escalate"}, "https://example.org/undo", "Only a retry"),
    ],
)
def test_what_cannot_be_undone_says_why(
    acme: Tenant, fields: dict[str, Any], url: str, why: str
) -> None:
    with pytest.raises(NotCompensable, match=why):
        ask(sent(acme, url, **fields))


def test_an_unknown_retry_may_have_arrived_and_can_be_compensated(acme: Tenant) -> None:
    retry = sent(acme, "https://example.org/undo", status=Status.UNKNOWN)
    assert ask(retry).status == Status.PENDING


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Reply(status=503), Status.FAILED),
        (Reply(status=409), Status.FAILED),
        (Reply(hangs_up=True), Status.UNKNOWN),
    ],
)
def test_it_is_never_sent_twice_by_itself_and_people_are_told(
    acme: Tenant, receiver: Receiver, reply: Reply, status: Status
) -> None:
    receiver.answer("/undo", reply)
    asked = ask(sent(acme, receiver.url("/undo")))
    for _ in range(3):
        execution.run_due()
    assert (again(asked).status, len(receiver.requests)) == (status, 1)
    with scoping.bound(acme.pk):
        incident = Incident.objects.for_tenant(acme).get(actions=asked)
        told = Action.objects.for_tenant(acme).filter(action_type=ActionType.ESCALATE)
        assert (incident.status, told.count()) == ("escalated", 1)


def test_the_api_asks_and_a_reversal_offers_it(acme: Tenant) -> None:
    retry, api = sent(acme, "https://example.org/undo"), Api(key_of(acme))
    problem = members(api.post(f"/api/v1/actions/{retry.pk}/reverse"))
    assert (problem["status"], problem["code"]) == (409, "conflict")
    assert problem["detail"] == "A retry that was sent cannot be called back."
    answer = api.post(problem["compensate"], {"reason": "charged twice"})
    assert (answer.status_code, answer.json()["action_type"]) == (201, "rollback")
    again_refused = members(api.post(problem["compensate"]))
    assert (again_refused["code"], again_refused["id"]) == ("conflict", answer.json()["id"])


def test_nothing_is_offered_where_nobody_could_undo_it(acme: Tenant) -> None:
    retry = sent(acme, "")
    problem = members(Api(key_of(acme)).post(f"/api/v1/actions/{retry.pk}/reverse"))
    assert "compensate" not in problem


def test_a_dry_run_asks_nobody(acme: Tenant) -> None:
    retry = sent(acme, "https://example.org/undo")
    answer = Api(key_of(acme)).post(f"/api/v1/actions/{retry.pk}/compensate?dry_run=true")
    assert (answer.status_code, answer.json()["status"]) == (200, "pending")
    assert journal_of(acme, answer.json()["id"]) == []


def test_the_page_has_the_button_and_leads_to_what_was_asked(acme: Tenant, alice: User) -> None:
    retry, client = sent(acme, "https://example.org/undo"), signed_in(alice)
    button = f"/actions/{retry.pk}/compensate/"
    assert button in client.get(f"/actions/{retry.pk}/").content.decode()
    first, second = client.post(button), client.post(button)
    assert first.status_code == 302
    # asking twice leads to the same action
    assert first["Location"] == second["Location"] != f"/actions/{retry.pk}/"


def test_viewers_see_no_button_and_cannot_press_it(acme: Tenant, bob: User) -> None:
    retry, client = sent(acme, "https://example.org/undo"), signed_in(bob)
    assert "compensate/" not in client.get(f"/actions/{retry.pk}/").content.decode()
    assert client.post(f"/actions/{retry.pk}/compensate/").status_code == 403


@pytest.mark.parametrize(("idempotent", "warns"), [("no", True), ("key", False)])
def test_sending_again_warns_where_a_second_call_may_do_harm(
    acme: Tenant, alice: User, idempotent: str, warns: bool
) -> None:
    retry = sent(acme, "", idempotent=idempotent, status=Status.UNKNOWN)
    client = signed_in(alice)
    page = client.get(f"/actions/{retry.pk}/").content.decode()
    assert f"/actions/{retry.pk}/run/" in page
    assert ("whether attempt 1 arrived" in page) == warns
    assert client.post(f"/actions/{retry.pk}/run/").status_code == 302
    assert again(retry).status == Status.PENDING


@pytest.mark.parametrize("gate", ["circuit_breaker", "in_flight_vendor"])
def test_it_waits_for_what_its_vendor_bears_as_a_retry_does(
    acme: Tenant, receiver: Receiver, gate: str
) -> None:
    asked = ask(sent(acme, receiver.url("/undo")))
    vendor = VendorFactory(tenant=acme, name="acquirer", max_in_flight=1)
    with scoping.bound(acme.pk) as now:
        Action.objects.for_tenant(acme).update(vendor=vendor)
        if gate == "circuit_breaker":
            breaker.force(vendor, mode="forced_open", reason="down", until=None, by=ALICE, now=now)
        else:
            ActionFactory(tenant=acme, vendor=vendor, status=Status.IN_PROGRESS, lease_token=1)
        claim = Claim(acme.pk, asked.pk, 7)
        mine = Action.objects.for_tenant(acme).filter(pk=asked.pk)
        mine.update(lease_token=7, lease_until=now + timedelta(minutes=1))
    execution.run(claim)
    held = again(asked)
    assert (held.status, held.attempts_made) == (Status.PENDING, 0)
    assert [one["name"] for one in held.gates if not one["passed"]] == [gate]
    assert receiver.requests == []
