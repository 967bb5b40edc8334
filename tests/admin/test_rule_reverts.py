"""A rule is taken back with one click, as a version of its own, unless somebody changed it since."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from safety import rules
from safety.models import RuleOverride
from safety.rules import RuleMoved
from tenants import scoping
from tenants.journal import SYSTEM
from tenants.models import Tenant
from tests.admin.pages import client_of, override
from tests.cast import journal_of
from tests.threads import at_once

pytestmark = pytest.mark.django_db
LIST = "admin:safety_ruleoverride_changelist"


def versions(tenant: Tenant) -> list[RuleOverride]:
    with scoping.bound(tenant.pk):
        return list(RuleOverride.objects.for_tenant(tenant).order_by("version"))


def revert(user: User, row: RuleOverride) -> Any:
    chosen = {"action": "revert", "_selected_action": [str(row.pk)]}
    return client_of(user).post(reverse(LIST), chosen, follow=True)


@pytest.fixture
def slow(acme: Tenant) -> list[RuleOverride]:
    """Stripe's retries: three at most, then seven."""
    for most in (3, 7):
        override(acme, target="stripe", retry__max_retries=most)
    return versions(acme)


def test_reverting_says_again_what_the_version_before_said(
    ann: User, acme: Tenant, slow: list[RuleOverride]
) -> None:
    revert(ann, slow[-1])
    latest = versions(acme)[-1]
    assert (latest.version, latest.values) == (3, {"retry.max_retries": 3})
    assert (latest.author, latest.reason) == ("ann", "Reverts version 2.")
    assert journal_of(acme, latest.pk) == ["rule_changed"]


def test_reverting_the_first_version_leaves_nothing_set(ann: User, acme: Tenant) -> None:
    override(acme, target="stripe", retry__max_retries=3)
    revert(ann, versions(acme)[0])
    assert versions(acme)[-1].values == {}


def test_a_rule_that_moved_meanwhile_shows_both_sides_and_stays(
    ann: User, acme: Tenant, slow: list[RuleOverride]
) -> None:
    override(acme, target="stripe", retry__max_retries=9)
    page = revert(ann, slow[-1]).content.decode()
    assert "It says retry.max_retries: 9" in page
    assert "yours would have said retry.max_retries: 3" in page
    assert len(versions(acme)) == 3


@pytest.mark.django_db(transaction=True)
def test_of_two_who_revert_at_once_one_does(acme: Tenant, slow: list[RuleOverride]) -> None:
    def press(_: int) -> str:
        with scoping.bound(acme.pk) as now:
            try:
                return str(rules.revert(slow[-1], by=SYSTEM, now=now).version)
            except RuleMoved:
                return "moved"

    assert sorted(at_once(4, press)) == ["3", "moved", "moved", "moved"]
