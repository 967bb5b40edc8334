"""Undoing what we changed ourselves: once, only if it still is as we left it, and with what is in the way shown."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from actions import by_hand, planning
from actions.executors.controls import Conflict
from actions.lifecycle import NotReversible
from actions.models import Action, Delivery, Escalation
from incidents import lifecycle as incident_lifecycle
from incidents.models import Incident
from safety import breaker, killswitch
from safety.models import CircuitBreaker, KillSwitch
from tenants.journal import Actor
from tenants.models import Tenant, Vendor
from tenants.scoping import bound
from tests.cast import Api, journal_of, key_of, signed_in
from tests.factories import (
    ActionFactory,
    DeliveryFactory,
    EscalationFactory,
    IncidentFactory,
    VendorFactory,
)

pytestmark = pytest.mark.django_db

ALICE = Actor("user", "1", "alice")
ANN = Actor("user", "2", "ann")


@pytest.fixture
def vendor(acme: Tenant) -> Vendor:
    return VendorFactory(tenant=acme, name="stripe")


def ask(tenant: Tenant, kind: str, **fields: Any) -> Action:
    with bound(tenant.pk) as now:
        parameters = {"reason": "they are down"} | fields.pop("parameters", {})
        return by_hand.request(
            tenant_id=tenant.pk,
            action_type=kind,
            parameters=parameters,
            by=ALICE,
            now=now,
            dedupe_key=f"{kind}:{fields}:{now}",
            **fields,
        )


def undo(action: Action) -> Action:
    with bound(action.tenant_id) as now:
        return by_hand.reverse(action, reason="too early", by=ANN, now=now)


def refused(action: Action) -> Conflict:
    with pytest.raises(Conflict) as conflict:
        undo(action)
    assert not left_a_trace(action)
    return conflict.value


def left_a_trace(action: Action) -> bool:
    with bound(action.tenant_id):
        mine = Action.objects.for_tenant(action.tenant_id)
        return mine.filter(reverses=action).exists() or mine.get(pk=action.pk).status != "completed"


def forced(vendor: Vendor) -> str:
    with bound(vendor.tenant_id):
        return CircuitBreaker.objects.for_tenant(vendor.tenant_id).get(vendor=vendor).forced


def switches(tenant: Tenant) -> list[KillSwitch]:
    with bound(tenant.pk):
        mine = KillSwitch.objects.for_tenant(tenant).filter(lifted_at=None)
        return list(mine.order_by("id"))


def stop(tenant: Tenant, **fields: Any) -> KillSwitch:
    with bound(tenant.pk) as now:
        what: dict[str, Any] = {"scope": "tenant", "target": "", "expires_at": None} | fields
        return killswitch.activate(tenant_id=tenant.pk, reason="mine", by=ANN, now=now, **what)


def test_a_breaker_gets_back_what_was_set_before(acme: Tenant, vendor: Vendor) -> None:
    with bound(acme.pk) as now:
        until = now + timedelta(hours=1)
        breaker.force(vendor, mode="forced_closed", reason="a test", until=until, by=ANN, now=now)
    action = ask(acme, "circuit_breaker_open", vendor_id=vendor.pk)
    assert forced(vendor) == "forced_open"
    undone = undo(action)
    with bound(acme.pk):
        row = CircuitBreaker.objects.for_tenant(acme).get(vendor=vendor)
    assert (row.forced, row.forced_until, row.forced_reason) == ("forced_closed", until, "a test")
    assert (undone.action_type, undone.reverses_id) == ("circuit_breaker_close", action.pk)
    assert journal_of(acme, action.pk)[-1] == "reversed"


def test_a_reversal_can_be_reversed(acme: Tenant, vendor: Vendor) -> None:
    undone = undo(ask(acme, "circuit_breaker_open", vendor_id=vendor.pk))
    assert forced(vendor) == ""
    undo(undone)
    assert forced(vendor) == "forced_open"


@pytest.mark.parametrize("mode", [None, "forced_closed", "forced_open"])
def test_a_breaker_that_others_set_meanwhile_stays_theirs(
    acme: Tenant, vendor: Vendor, mode: Any
) -> None:
    # also when they set the very same: it is their decision now, with their reason
    action = ask(acme, "circuit_breaker_open", vendor_id=vendor.pk)
    with bound(acme.pk) as now:
        breaker.force(vendor, mode=mode, reason="mine", until=None, by=ANN, now=now)
    conflict = refused(action)
    assert conflict.found["forced"] == (mode or "")
    assert conflict.wanted == {"forced": "", "forced_until": None, "forced_reason": ""}
    assert forced(vendor) == (mode or "")


def test_a_stop_is_lifted_and_one_that_others_lifted_is_a_conflict(acme: Tenant) -> None:
    undo(ask(acme, "kill_switch_activate", parameters={"scope": "tenant"}))
    assert switches(acme) == []
    action = ask(acme, "kill_switch_activate", parameters={"scope": "tenant"})
    with bound(acme.pk) as now:
        killswitch.lift(switches(acme)[0], reason="over", by=ANN, now=now)
    assert refused(action).found["by"] == "ann"


def test_a_lifted_stop_comes_back_with_its_end(acme: Tenant) -> None:
    with bound(acme.pk) as now:
        until = now + timedelta(hours=2)
    switch = stop(acme, expires_at=until)
    action = ask(acme, "kill_switch_deactivate", parameters={"switch": str(switch.pk)})
    assert switches(acme) == []
    undo(action)
    assert [(one.scope, one.expires_at) for one in switches(acme)] == [("tenant", until)]


def test_a_lifted_stop_that_others_set_again_is_a_conflict(acme: Tenant) -> None:
    action = ask(acme, "kill_switch_deactivate", parameters={"switch": str(stop(acme).pk)})
    stop(acme)
    conflict = refused(action)
    assert conflict.found["stopped"] is True
    assert conflict.found["reason"] == "mine"


@pytest.fixture
def escalated(acme: Tenant) -> Action:
    """An incident that the machine escalated, one person told, one about to be."""
    incident = IncidentFactory(tenant=acme)
    with bound(acme.pk) as now:
        action = planning.escalation(incident, "It needs people.", now=now)
        Action.objects.for_tenant(acme).filter(pk=action.pk).update(status="completed")
    EscalationFactory(tenant=acme, action=action, incident=incident, next_at=action.created_at)
    DeliveryFactory(tenant=acme, action=action, incident=incident, status="sent")
    DeliveryFactory(tenant=acme, action=action, incident=incident)
    return action


def test_an_escalation_is_taken_back_and_nobody_else_is_told(
    acme: Tenant, escalated: Action
) -> None:
    undone = undo(escalated)
    with bound(acme.pk):
        assert Incident.objects.for_tenant(acme).get().status == "analyzing"
        escalation = Escalation.objects.for_tenant(acme).get()
        assert (escalation.status, escalation.next_at) == ("ended", None)
        told = Delivery.objects.for_tenant(acme).order_by("id").values_list("status", flat=True)
        assert list(told) == ["sent", "failed"]
    assert (undone.action_type, undone.status) == ("rollback", "completed")


def test_what_needs_people_after_that_is_told_anew(acme: Tenant, escalated: Action) -> None:
    undo(escalated)
    with bound(acme.pk) as now:
        incident = Incident.objects.for_tenant(acme).get()
        again = planning.escalation(incident, "Now it does.", now=now)
    assert (again.status, again.pk == escalated.pk) == ("pending", False)


@pytest.mark.parametrize(
    "verb",
    [
        lambda incident, now: incident_lifecycle.analyze(incident, by=ANN, now=now),
        lambda incident, now: incident_lifecycle.resolve(incident, by=ANN, now=now),
        lambda incident, now: incident_lifecycle.escalate(
            incident_lifecycle.analyze(incident, by=ANN, now=now),
            by=ANN,
            now=now + timedelta(seconds=1),
            reason="mine",
        ),
    ],
    ids=["taken", "resolved", "escalated by hand"],
)
def test_an_incident_that_people_moved_meanwhile_stays_where_it_is(
    acme: Tenant, escalated: Action, verb: Callable[..., Incident]
) -> None:
    with bound(acme.pk) as now:
        moved = verb(Incident.objects.for_tenant(acme).get(), now).status
    assert refused(escalated).found["status"] == moved
    with bound(acme.pk):
        assert Incident.objects.for_tenant(acme).get().status == moved


def test_a_retry_says_that_it_cannot_be_called_back(acme: Tenant) -> None:
    action = ActionFactory(tenant=acme, status="completed")
    with pytest.raises(NotReversible, match="cannot be called back"):
        undo(action)


def test_the_api_shows_both_sides_of_a_conflict(acme: Tenant, vendor: Vendor) -> None:
    action = ask(acme, "circuit_breaker_open", vendor_id=vendor.pk)
    with bound(acme.pk) as now:
        breaker.force(vendor, mode=None, reason="", until=None, by=ANN, now=now)
    answer = Api(key_of(acme)).post(f"/api/v1/actions/{action.pk}/reverse")
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (409, "conflict")
    assert (problem["found"]["forced"], problem["wanted"]["forced"]) == ("", "")
    assert "automatic" in problem["detail"]


def press(client: Client, action: Action, **headers: str) -> Any:
    url = reverse("actions:reverse", args=[action.pk])
    return client.post(url, headers={"Accept": "text/html"} | headers)


def test_the_console_reverses_with_one_button(alice: User, acme: Tenant, vendor: Vendor) -> None:
    action = ask(acme, "circuit_breaker_open", vendor_id=vendor.pk)
    client = signed_in(alice)
    page = client.get(reverse("actions:detail", args=[action.pk])).content.decode()
    assert reverse("actions:reverse", args=[action.pk]) in page
    answer = press(client, action)
    assert answer.status_code == 302
    assert client.get(answer["Location"]).status_code == 200
    assert forced(vendor) == ""


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["plain", "htmx"])
def test_the_console_shows_what_is_in_the_way(
    alice: User, acme: Tenant, vendor: Vendor, headers: dict[str, str]
) -> None:
    action = ask(acme, "circuit_breaker_open", vendor_id=vendor.pk)
    with bound(acme.pk) as now:
        breaker.force(vendor, mode="forced_closed", reason="mine", until=None, by=ANN, now=now)
    answer = press(signed_in(alice), action, **headers)
    page = answer.content.decode()
    assert answer.status_code == 409
    assert "forced_closed" in page
    assert "Reversing would put back" in page
    assert "Nothing was changed" in page
    assert not left_a_trace(action)


def test_a_second_click_is_told_that_it_is_done(alice: User, acme: Tenant, vendor: Vendor) -> None:
    action = ask(acme, "circuit_breaker_open", vendor_id=vendor.pk)
    client = signed_in(alice)
    press(client, action)
    again = press(client, action)
    assert again.status_code == 409
    assert "reversed already" in again.content.decode()


def test_a_viewer_may_not_and_an_outsider_sees_nothing(
    bob: User, mallory: User, acme: Tenant, vendor: Vendor
) -> None:
    action = ask(acme, "circuit_breaker_open", vendor_id=vendor.pk)
    assert press(signed_in(bob), action).status_code == 403
    assert press(signed_in(mallory), action).status_code == 404
    assert forced(vendor) == "forced_open"
