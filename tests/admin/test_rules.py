"""Rule overrides in the admin: only next versions, with author, reason and difference, and what they come to."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse

from safety import rules
from safety.models import RuleOverride
from tenants import scoping
from tenants.models import Tenant
from tests.admin.pages import client_of, override
from tests.cast import journal_of

ADD = "admin:safety_ruleoverride_add"
LIST = "admin:safety_ruleoverride_changelist"


def versions(tenant: Tenant) -> list[RuleOverride]:
    with scoping.bound(tenant.pk):
        return list(RuleOverride.objects.for_tenant(tenant).order_by("version"))


def send(client: Client, **values: Any) -> Any:
    typed = {"scope": "vendor", "target": "stripe", "reason": "they are slow today"} | values
    return client.post(reverse(ADD), {key.replace("__", "."): text for key, text in typed.items()})


def test_a_tenants_admin_adds_the_next_version(ann: User, acme: Tenant) -> None:
    override(acme, target="stripe", retry__max_retries=3)
    assert send(client_of(ann), retry__max_retries="7", retry__jitter="full").status_code == 302
    latest = versions(acme)[-1]
    assert (latest.version, latest.author, latest.reason) == (2, "ann", "they are slow today")
    # the new version is the whole rule: it replaces the one before
    assert latest.values == {"retry.max_retries": 7, "retry.jitter": "full"}
    assert journal_of(acme, latest.pk) == ["rule_changed"]


def test_staff_choose_the_tenant(staff: User, acme: Tenant, globex: Tenant) -> None:
    refused = send(client_of(staff), retry__max_retries="7")
    assert refused.status_code == 200
    assert "tenant" in refused.context["adminform"].form.errors
    assert send(client_of(staff), tenant=globex.pk, retry__max_retries="7").status_code == 302
    assert [row.author for row in versions(globex)] == ["staff"]
    assert versions(acme) == []


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"retry__max_retries": "many"}, "retry.max_retries"),
        ({"retry__max_retries": "101"}, "retry.max_retries"),
        ({"retry__backoff_multiplier": "NaN"}, "retry.backoff_multiplier"),
        ({"severity": "enormous"}, "severity"),
        (
            {"retry__initial_delay_ms": "500", "retry__max_delay_ms": "100"},
            "retry.initial_delay_ms",
        ),
        ({"scope": "workflow", "breaker__failure_threshold": "5"}, "breaker.failure_threshold"),
        ({"scope": "category", "target": "nonsense"}, "target"),
        ({"scope": "tenant", "target": "stripe"}, "target"),
        ({"scope": "code", "target": "two words"}, "target"),
        ({"target": ""}, "target"),
        ({"target": "stripe\x00"}, "target"),
        ({"scope": "planet"}, "scope"),
        ({"reason": "   "}, "reason"),
        ({"reason": "x" * 4001}, "reason"),
    ],
)
def test_what_does_not_hold_comes_back_at_its_field(
    typed: dict[str, str], field: str, ann: User, acme: Tenant
) -> None:
    response = send(client_of(ann), **({"retry__enabled": "true"} | typed))
    assert response.status_code == 200
    assert list(response.context["adminform"].form.errors) == [field]
    assert versions(acme) == []


def test_a_version_is_never_edited_or_deleted(ann: User, staff: User, acme: Tenant) -> None:
    row = override(acme, target="stripe")
    for person in (ann, staff):
        client = client_of(person)
        for verb in ("change", "delete"):
            path = reverse(f"admin:safety_ruleoverride_{verb}", args=[row.pk])
            assert client.post(path, {"reason": "other", "post": "yes"}).status_code == 403
    assert [each.reason for each in versions(acme)] == ["because"]


def test_two_writers_of_one_version_get_the_form_again(
    ann: User, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_late(**_: Any) -> None:
        raise IntegrityError("one_override_per_version")

    monkeypatch.setattr(rules, "override", too_late)
    response = send(client_of(ann), retry__max_retries="7")
    assert response.status_code == 200
    assert "Somebody else saved a version" in response.content.decode()


def test_a_version_that_was_not_looked_at_is_not_replaced(ann: User, acme: Tenant) -> None:
    override(acme, target="stripe", retry__max_retries=3)
    override(acme, target="stripe", retry__max_retries=9)  # while ann had version 1 before her
    page = send(client_of(ann), seen="1", retry__max_retries="7").content.decode()
    assert "It says retry.max_retries: 9; yours would have said retry.max_retries: 7" in page
    assert len(versions(acme)) == 2
    assert send(client_of(ann), seen="2", retry__max_retries="7").status_code == 302


def test_the_list_tells_what_each_version_changed(ann: User, acme: Tenant) -> None:
    override(acme, target="stripe", retry__max_retries=3)
    override(acme, target="stripe", retry__max_retries=4, retry__enabled=False)
    override(acme, target="plaid", timeout_seconds=5)
    shown = client_of(ann).get(reverse(LIST)).content.decode()
    assert "retry.max_retries: – → 3" in shown
    assert "retry.max_retries: 3 → 4" in shown
    assert "retry.enabled: – → false" in shown
    assert "timeout_seconds: – → 5" in shown


def test_the_list_asks_no_more_for_more_versions(
    ann: User, acme: Tenant, django_assert_max_num_queries: Any
) -> None:
    for number in range(1, 20):
        override(acme, target="stripe", retry__max_retries=number)
    client = client_of(ann)
    with django_assert_max_num_queries(20):
        client.get(reverse(LIST))


def test_the_next_version_starts_from_what_the_last_says(ann: User, acme: Tenant) -> None:
    row = override(acme, target="stripe", retry__max_retries=3, retry__enabled=True)
    response = client_of(ann).get(reverse(ADD), {"from": str(row.pk)})
    initial = response.context["adminform"].form.initial
    assert (initial["scope"], initial["target"]) == ("vendor", "stripe")
    assert (initial["retry.max_retries"], initial["retry.enabled"]) == ("3", "true")


def test_the_rules_in_force_show_default_override_and_source(ann: User, acme: Tenant) -> None:
    override(acme, target="stripe", retry__max_retries=2, retry__initial_delay_ms=500)
    asked = {"vendor": "stripe", "error_code": "payment_timeout", "category": "transient_error"}
    response = client_of(ann).get(reverse("admin:effective-rules"), asked)
    values = {value["name"]: value for value in response.context["values"]}
    line = values["retry.initial_delay_ms"]
    assert (line["is_overridden"], line["in_force"].value) == (True, 500)
    assert line["default"].value != 500
    assert line["in_force"].source == "override v1 for vendor stripe"
    # the waits that come of it, one line a retry
    assert [step.number for step in response.context["schedule"].steps] == [1, 2]
    assert response.context["schedule"].steps[0].seconds == 0.5


def test_the_rules_in_force_are_those_of_ones_own_tenant(
    ann: User, acme: Tenant, globex: Tenant
) -> None:
    override(globex, target="stripe", retry__max_retries=77)
    asked = {"vendor": "stripe", "category": "unknown", "tenant": str(globex.pk)}
    shown = client_of(ann).get(reverse("admin:effective-rules"), asked)
    assert not any(value["is_overridden"] for value in shown.context["values"])


@pytest.mark.parametrize(
    "asked", [{}, {"category": "nonsense"}, {"vendor": "\x00"}, {"tenant": "x"}]
)
def test_an_odd_question_about_rules_gets_the_form(asked: dict[str, str], staff: User) -> None:
    response = client_of(staff).get(reverse("admin:effective-rules"), asked)
    assert response.status_code == 200
    assert "values" not in response.context
