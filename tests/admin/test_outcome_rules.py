"""Outcome rules in the admin: in order, tried before they are saved, with a reason, switched off instead of deleted."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from incidents.analysis.outcome import SHIPPED
from incidents.models import OutcomeRule
from tenants import scoping
from tenants.models import Tenant
from tests.admin.pages import client_of
from tests.cast import journal_of, submit, submit_all
from tests.factories import OutcomeRuleFactory

ADD = "admin:incidents_outcomerule_add"
LIST = "admin:incidents_outcomerule_changelist"
CHANGE = "admin:incidents_outcomerule_change"
TYPED = {
    "position": "100",
    "event_type": "payment.retrying",
    "payload_path": "state",
    "payload_value": "gave_up",
    "outcome": "failure",
    "is_enabled": "on",
    "reason": "they gave up",
}
GAVE_UP = {"event_type": "payment.retrying", "payload": {"state": "gave_up"}}


def rules(tenant: Tenant) -> list[OutcomeRule]:
    with scoping.bound(tenant.pk):
        return list(OutcomeRule.objects.for_tenant(tenant).order_by("position", "id"))


def send(client: Client, row: OutcomeRule | None = None, **typed: Any) -> Any:
    """`_try="Try"` presses that button instead of "Save"."""
    path = reverse(CHANGE, args=[row.pk]) if row else reverse(ADD)
    sent = {name: value for name, value in (TYPED | typed).items() if value is not None}
    return client.post(path, sent)


def errors_of(response: Any) -> list[str]:
    return list(response.context["adminform"].form.errors)


def words(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.content.decode()))


def test_a_tenants_admin_adds_a_rule(ann: User, acme: Tenant) -> None:
    assert send(client_of(ann)).status_code == 302
    (row,) = rules(acme)
    assert (row.event_type, row.payload_path, row.payload_value) == (
        "payment.retrying",
        "state",
        "gave_up",
    )
    assert (row.outcome, row.is_enabled, row.created_by) == ("failure", True, "ann")
    assert journal_of(acme, row.pk) == ["outcome_rule_added"]


def test_staff_choose_the_tenant(staff: User, acme: Tenant, globex: Tenant) -> None:
    assert errors_of(send(client_of(staff))) == ["tenant"]
    assert errors_of(send(client_of(staff), _try="Try")) == ["tenant"]
    assert send(client_of(staff), tenant=globex.pk).status_code == 302
    assert [row.created_by for row in rules(globex)] == ["staff"]
    assert rules(acme) == []


def test_a_change_asks_why_anew(ann: User, acme: Tenant) -> None:
    row = OutcomeRuleFactory(tenant=acme, reason="the first reason")
    client = client_of(ann)
    page = client.get(reverse(CHANGE, args=[row.pk]))
    assert page.context["adminform"].form["reason"].value() == ""
    assert "the first reason" in page.content.decode()
    assert errors_of(send(client, row, reason="  ")) == ["reason"]
    assert send(client, row, is_enabled=None, reason="too loud").status_code == 302
    (changed,) = rules(acme)
    assert (changed.is_enabled, changed.reason, changed.created_by) == (False, "too loud", "test")
    assert journal_of(acme, row.pk) == ["outcome_rule_changed"]


def test_a_rule_is_never_deleted_and_never_changes_its_tenant(
    staff: User, acme: Tenant, globex: Tenant
) -> None:
    row, client = OutcomeRuleFactory(tenant=acme), client_of(staff)
    delete = reverse("admin:incidents_outcomerule_delete", args=[row.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 403
    assert send(client, row, tenant=globex.pk).status_code == 302
    assert [each.pk for each in rules(acme)] == [row.pk]


@pytest.mark.parametrize("button", ["_save", "_try"])
@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"event_type": "", "payload_path": "", "payload_value": ""}, "event_type"),
        ({"event_type": "a*b*c*d*e*f*"}, "event_type"),
        ({"event_type": "x" * 256}, "event_type"),
        ({"event_type": "pay\x00ment"}, "event_type"),
        ({"payload_path": ""}, "payload_path"),
        ({"payload_path": "a..b"}, "payload_path"),
        ({"position": "-1"}, "position"),
        ({"position": "9" * 30}, "position"),
        ({"outcome": "disaster"}, "outcome"),
    ],
)
def test_what_does_not_hold_comes_back_at_its_field(
    typed: dict[str, Any], field: str, button: str, ann: User, acme: Tenant
) -> None:
    response = send(client_of(ann), **{**typed, button: "on"})
    assert response.status_code == 200
    assert errors_of(response) == [field]
    assert response.context["trial"] is None
    assert rules(acme) == []


@pytest.mark.parametrize("reason", ["", "  ", "x" * 4001])
def test_saving_needs_a_reason_that_fits(reason: str, ann: User, acme: Tenant) -> None:
    assert errors_of(send(client_of(ann), reason=reason)) == ["reason"]
    assert rules(acme) == []


def test_trying_needs_no_reason_yet(ann: User) -> None:
    response = send(client_of(ann), reason="", _try="Try")
    assert "Tried on" in words(response)
    # it is asked for still
    assert response.context["adminform"].form.fields["reason"].required


def test_trying_shows_what_would_change_and_saves_nothing(
    ann: User, acme: Tenant, globex: Tenant
) -> None:
    submit(
        globex, event_type="payment.retrying", payload={"state": "gave_up", "error_code": "canary"}
    )
    submit(acme, **GAVE_UP)
    submit(acme, event_type="job.failed")
    response = send(client_of(ann), _try="Try")
    assert response.status_code == 200
    shown = words(response)
    assert "Tried on the last 2 events, nothing is saved" in shown
    assert "1 would be read otherwise: neutral → failure 1." in shown
    assert re.search(r"payment\.retrying – – \d{4}-\d\d-\d\d [\d:]{8} Neutral Failure", shown)
    assert "job.failed" not in shown
    assert "canary" not in shown
    assert "Please correct" not in shown
    # what was typed stands there still, ready to be saved
    assert response.context["adminform"].form["payload_value"].value() == "gave_up"
    assert rules(acme) == []
    assert journal_of(acme) == []


def test_trying_a_stored_rule_as_it_is_changes_nothing(ann: User, acme: Tenant) -> None:
    submit(acme, **GAVE_UP)
    row = OutcomeRuleFactory(tenant=acme)
    as_it_is = {"payload_path": "", "payload_value": "", "_try": "Try"}
    assert "None of them would be read otherwise." in words(send(client_of(ann), row, **as_it_is))
    off = send(client_of(ann), row, **as_it_is, is_enabled=None)
    assert "1 would be read otherwise: failure → neutral 1." in words(off)
    assert rules(acme)[0].is_enabled
    assert journal_of(acme) == []


def test_trying_shows_the_last_twenty_of_many(ann: User, acme: Tenant) -> None:
    submit_all(acme, [GAVE_UP] * 25)
    response = send(client_of(ann), _try="Try")
    assert "25 would be read otherwise: neutral → failure 25." in words(response)
    assert "The last 20 of them" in words(response)
    assert response.content.decode().count('<th scope="row">payment.retrying</th>') == 20


def test_trying_without_events_says_so(ann: User) -> None:
    shown = words(send(client_of(ann), _try="Try"))
    assert "Tried on the last 0 events" in shown


def test_the_list_is_in_the_order_of_asking_with_what_is_shipped_below(
    ann: User, acme: Tenant
) -> None:
    OutcomeRuleFactory(tenant=acme, position=20, status="late", error_code="E*", is_enabled=False)
    OutcomeRuleFactory(tenant=acme, position=10, payload_path="error.kind", payload_value="fatal")
    OutcomeRuleFactory(tenant=acme, position=10, event_type="", payload_path="error")
    response = client_of(ann).get(reverse(LIST))
    shown = words(response)
    told = [
        "event type is like payment.retrying and error.kind in the payload is fatal",
        "error in the payload is not empty",
        "event type is like payment.retrying and status is late and error code is like E*",
        "event type is like *.completed",
        "error_message in the payload is not empty",
    ]
    places = [shown.index(line) for line in told]
    assert places == sorted(places)
    assert len(response.context["shipped"]) == len(SHIPPED)


def test_the_list_asks_no_more_for_more_rules(
    staff: User, acme: Tenant, django_assert_max_num_queries: Any
) -> None:
    for position in range(20):
        OutcomeRuleFactory(tenant=acme, position=position)
    client = client_of(staff)
    with django_assert_max_num_queries(20):
        client.get(reverse(LIST))
