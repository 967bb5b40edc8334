"""Circuit breakers in the admin: read by all who may, forced and handed back by platform staff."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from safety.models import CircuitBreaker
from tenants import scoping
from tenants.models import Tenant
from tests.admin.pages import client_of
from tests.cast import journal_of
from tests.factories import BreakerFactory

LIST = "admin:safety_circuitbreaker_changelist"


@pytest.fixture
def stripe(acme: Tenant) -> CircuitBreaker:
    return BreakerFactory(tenant=acme, vendor__name="stripe")


def now_of(breaker: CircuitBreaker) -> CircuitBreaker:
    with scoping.bound(breaker.tenant_id):
        again: CircuitBreaker = CircuitBreaker.objects.for_tenant(breaker.tenant_id).get()
        return again


def act(user: User, action: str, breaker: CircuitBreaker, **typed: str) -> Any:
    sent = {"action": action, "_selected_action": breaker.pk, "index": 0, "minutes": "60"}
    return client_of(user).post(reverse(LIST), sent | {"reason": "they called us"} | typed)


@pytest.mark.parametrize(
    ("action", "forced"), [("force_open", "forced_open"), ("force_closed", "forced_closed")]
)
def test_staff_force_a_breaker_and_hand_it_back(
    action: str, forced: str, staff: User, acme: Tenant, stripe: CircuitBreaker
) -> None:
    assert act(staff, action, stripe).status_code == 302
    taken = now_of(stripe)
    assert (taken.forced, taken.forced_reason) == (forced, "they called us")
    assert taken.forced_until is not None
    assert act(staff, "hand_back", stripe).status_code == 302
    assert now_of(stripe).forced == ""
    assert journal_of(acme, stripe.pk) == ["breaker_forced", "breaker_freed"]


@pytest.mark.parametrize(
    "typed", [{"reason": "  "}, {"minutes": "7"}, {"reason": "x" * 4001}, {"reason": "\x00"}]
)
def test_forcing_needs_a_reason_and_a_duration(
    typed: dict[str, str], staff: User, stripe: CircuitBreaker
) -> None:
    assert act(staff, "force_open", stripe, **typed).status_code == 302
    assert now_of(stripe).forced == ""


def test_rows_that_do_not_exist_are_no_error(staff: User, stripe: CircuitBreaker) -> None:
    response = act(staff, "force_open", stripe, _selected_action="nonsense")
    assert response.status_code == 302
    assert now_of(stripe).forced == ""


def test_a_tenants_admin_reads_and_forces_nothing(ann: User, stripe: CircuitBreaker) -> None:
    page = client_of(ann).get(reverse(LIST)).content.decode()
    assert "stripe" in page
    assert "Force open" not in page
    act(ann, "force_open", stripe)
    assert now_of(stripe).forced == ""


def test_nobody_edits_a_breaker_by_hand(staff: User, stripe: CircuitBreaker) -> None:
    path = reverse("admin:safety_circuitbreaker_change", args=[stripe.pk])
    client = client_of(staff)
    assert client.get(path).status_code == 200
    assert client.post(path, {"state": "open", "failures": 9}).status_code == 403
    assert now_of(stripe).state == "closed"
