"""The inbox and an incident's escalation in a browser: by keyboard and without JavaScript."""

import pytest
from playwright.sync_api import expect

from actions import escalations, planning
from incidents import lifecycle
from tenants import scoping
from tests.browser.conftest import SignIn, press
from tests.cast import acting
from tests.support.console import World, incident_of, report

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def incident_url(cast: World) -> str:
    """An incident that alice and ann were told of."""
    report(cast.acme, vendor="stripe", runs=["run-1"])
    incident = incident_of(cast.acme)
    with scoping.bound(cast.acme.pk) as now:
        action = planning.escalation(incident, "All 5 attempts failed.", now=now)
    with scoping.bound(cast.acme.pk) as now:
        escalations.begin(action, now=now)
    return incident.get_absolute_url()


def test_a_message_is_opened_and_read_by_keyboard(
    cast: World, sign_in: SignIn, incident_url: str
) -> None:
    page = sign_in(cast.alice)
    page.goto("/incidents/")
    expect(page.get_by_role("link", name="1 unread messages")).to_be_visible()
    press(page, "g")
    press(page, "m")
    expect(page.locator("h1")).to_have_text("Inbox")
    page.get_by_role("button", name="Mark read").click()
    expect(page.locator(".toast")).to_contain_text("Read.")
    expect(page.get_by_role("button", name="Mark read")).to_have_count(0)
    press(page, "j")
    press(page, "Enter")
    page.wait_for_url(f"**{incident_url}")


def test_the_incident_says_who_was_told_and_who_is_next(
    cast: World, sign_in: SignIn, incident_url: str
) -> None:
    page = sign_in(cast.alice)
    page.goto(incident_url)
    told = page.locator("#actions [id^=escalation-]")
    expect(told).to_contain_text("next: everybody who may act in")
    expect(told).to_contain_text("alice")
    incident = incident_of(cast.acme)
    with scoping.bound(cast.acme.pk) as now:
        lifecycle.acknowledge(incident, by=acting(cast.alice), now=now)
    escalations.advance_due()
    page.reload()
    expect(told).to_contain_text("Acknowledged: nobody else is told")


def test_without_javascript(cast: World, sign_in: SignIn, incident_url: str) -> None:
    page = sign_in(cast.alice, java_script_enabled=False)
    page.goto("/inbox/?tab=unread")
    page.get_by_role("button", name="Mark all as read").click()
    expect(page.locator(".toast")).to_contain_text("1 read.")
    expect(page.locator("#inbox")).to_contain_text("You have read everything")
