"""Rules in the console: what is in force and who says so, each rule's versions, a change and its way back."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from safety import rules
from safety.models import RuleOverride
from tenants import scoping
from tenants.models import Tenant
from tests.admin.pages import override
from tests.cast import journal_of
from tests.support.console import client_of

pytestmark = pytest.mark.django_db
STRIPE = "/rules/vendor/stripe/"


def page(client: Client, path: str = "/rules/", **asked: str) -> str:
    answer = client.get(path, asked)
    assert answer.status_code == 200
    return str(answer.content.decode())


def lines(client: Client, **asked: str) -> dict[str, Any]:
    return {line.name: line for line in client.get("/rules/", asked).context["values"]}


def versions(tenant: Tenant, scope: str = "vendor", target: str = "stripe") -> list[RuleOverride]:
    with scoping.bound(tenant.pk):
        return list(rules.versions(tenant.pk, scope=scope, target=target))


def send(client: Client, **typed: Any) -> Any:
    stripe = {"scope": "vendor", "target": "stripe", "seen": "0", "reason": "they are slow today"}
    return client.post(reverse("rules:change"), stripe | typed)


def revert(client: Client, row: RuleOverride) -> Any:
    return client.post(reverse("rules:revert", args=[row.pk]))


def test_values_stand_beside_their_default_override_and_source(bob: User, acme: Tenant) -> None:
    override(acme, target="stripe", retry__initial_delay_ms=500)
    asked = {"vendor": "stripe", "error_code": "payment_timeout", "workflow": "checkout"}
    line = lines(client_of(bob), **asked)["retry.initial_delay_ms"]
    assert (line.value, line.default, line.override) == ("500", "1000", "500")
    assert (line.source, line.override_url) == ("override v1 for vendor stripe", STRIPE)
    untouched = lines(client_of(bob), **asked)["timeout_seconds"]
    assert (untouched.override, untouched.source) == ("", "vendor stripe in vendor_config.yaml")
    shown = page(client_of(bob), **asked)
    for path in ("workflow/checkout", "vendor/stripe", "code/payment_timeout", "tenant"):
        assert f'href="/rules/{path}/"' in shown


def test_a_rule_of_another_tenant_is_neither_in_force_nor_shown(
    mallory: User, acme: Tenant
) -> None:
    row = override(acme, target="stripe", retry__max_retries=77)
    shown = page(client_of(mallory), vendor="stripe") + page(client_of(mallory), STRIPE)
    assert ">77<" not in shown  # the time may have it
    assert "The defaults hold" in shown
    assert revert(client_of(mallory), row).status_code == 403


def test_nobody_reverts_a_rule_of_another_tenant(ann: User, globex: Tenant) -> None:
    row = override(globex, target="stripe", retry__max_retries=77)
    assert revert(client_of(ann), row).status_code == 404
    assert len(versions(globex)) == 1


@pytest.mark.parametrize("asked", [{"category": "nonsense"}, {"vendor": "\x00"}])
def test_an_unreadable_question_is_refused(bob: User, asked: dict[str, str]) -> None:
    assert client_of(bob).get("/rules/", asked).status_code == 422


def test_an_admin_changes_one_value_and_keeps_the_others(ann: User, acme: Tenant) -> None:
    override(acme, target="stripe", retry__max_retries=3, timeout_seconds=9)
    answer = send(client_of(ann), seen="1", key="retry.max_retries", value=" 7 ")
    assert (answer.status_code, answer.headers["Location"]) == (302, STRIPE)
    newest = versions(acme)[0]
    assert newest.values == {"retry.max_retries": 7, "timeout_seconds": 9}
    assert (newest.version, newest.author, newest.reason) == (2, "ann", "they are slow today")
    assert journal_of(acme, newest.pk) == ["rule_changed"]
    shown = page(client_of(ann), STRIPE)
    assert "retry.max_retries: 3 → 7" in shown


def test_an_empty_value_is_not_set_any_more(ann: User, acme: Tenant) -> None:
    override(acme, target="stripe", retry__max_retries=3, timeout_seconds=9)
    send(client_of(ann), seen="1", key="retry.max_retries", value="")
    assert versions(acme)[0].values == {"timeout_seconds": 9}


def test_a_rule_of_the_whole_tenant_and_of_an_odd_code(ann: User, acme: Tenant) -> None:
    send(client_of(ann), scope="tenant", target="", key="mode", value="approve")
    send(client_of(ann), scope="code", target="E/4%?#", key="severity", value="low")
    assert "approve" in page(client_of(ann), "/rules/tenant/")
    shown = client_of(ann).get("/rules/").context["rules"]
    assert [rule.title for rule in shown] == ["code E/4%?#", "the whole tenant"]
    assert "Version 1" in page(client_of(ann), shown[0].url)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"key": "retry.max_retries", "value": "101"}, "retry.max_retries must be from 0 to 100"),
        ({"key": "retry.max_retries", "value": "many"}, "must be a whole number"),
        ({"key": "retry.max_retries", "value": "7", "reason": "  "}, "This field is required"),
        ({"key": "colour", "value": "red"}, "Select a valid choice"),
    ],
)
def test_what_does_not_hold_comes_back_with_what_was_typed(
    ann: User, acme: Tenant, typed: dict[str, str], told: str
) -> None:
    answer = send(client_of(ann), **typed)
    assert answer.status_code == 422
    assert told in answer.content.decode()
    assert f'value="{typed["value"]}"' in answer.content.decode()
    assert versions(acme) == []


def test_a_change_of_what_was_not_looked_at_shows_both_sides(ann: User, acme: Tenant) -> None:
    override(acme, target="stripe", retry__max_retries=9)
    answer = send(client_of(ann), seen="0", key="retry.max_retries", value="7")
    shown = answer.content.decode()
    assert answer.status_code == 409
    assert "It says retry.max_retries: 9; yours would have said retry.max_retries: 7" in shown
    # now they have looked at it: the next press goes through
    assert '<input type="hidden" name="seen" value="1">' in shown
    assert len(versions(acme)) == 1


def test_one_click_reverts_what_is_in_force(ann: User, acme: Tenant) -> None:
    for most in (3, 7):
        override(acme, target="stripe", retry__max_retries=most)
    newest = versions(acme)[0]
    shown = page(client_of(ann), STRIPE)
    assert shown.count("/revert/") == 1
    assert reverse("rules:revert", args=[newest.pk]) in shown
    assert revert(client_of(ann), newest).status_code == 302
    assert versions(acme)[0].values == {"retry.max_retries": 3}
    again = revert(client_of(ann), newest)
    assert again.status_code == 409
    assert "ann has saved version 3 of the rule for vendor stripe" in again.content.decode()
    assert len(versions(acme)) == 3


def test_people_who_may_not_configure_read_and_touch_nothing(
    alice: User, bob: User, acme: Tenant
) -> None:
    row = override(acme, target="stripe", retry__max_retries=3)
    for person in (alice, bob):
        client = client_of(person)
        shown = page(client, STRIPE)
        assert "because" in shown
        assert "<form" not in shown.partition("<main")[2].partition("</main")[0]
        assert revert(client, row).status_code == 403
        assert send(client, key="mode", value="off").status_code == 403


@pytest.mark.parametrize(
    "path", ["planet/stripe", "vendor/Bad Name", "category/odd", "tenant/x", "code/two words"]
)
def test_what_can_have_no_rule_has_no_page(ann: User, path: str) -> None:
    assert client_of(ann).get(f"/rules/{path}/").status_code == 404
    scope, _, target = path.partition("/")
    assert send(client_of(ann), scope=scope, target=target, key="mode").status_code == 404


def test_the_pages_cost_the_same_however_many_versions_there_are(bob: User, acme: Tenant) -> None:
    client, costs = client_of(bob), []
    for n_rows in (2, 7):
        for number in range(n_rows):
            override(acme, target="stripe", retry__max_retries=number)
            override(acme, target=f"vendor-{number}", retry__max_retries=number)
        with CaptureQueriesContext(connection) as asked:
            page(client, vendor="stripe")
            page(client, STRIPE)
        costs.append(len(asked))
    assert costs[0] == costs[1]


def test_only_the_newest_versions_are_shown(ann: User, acme: Tenant) -> None:
    for number in range(52):
        override(acme, target="stripe", retry__max_retries=number)
    shown = page(client_of(ann), STRIPE)
    assert shown.count('id="version-') == 50
    assert "retry.max_retries: 1 → 2" in shown  # also the oldest one knows what it changed
    assert "Older versions are in the administration" in shown
