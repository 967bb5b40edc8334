"""What somebody looks at is in the address: a reload, the way back and a copied link show the same view."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from tenants import journal, scoping
from tests.browser.conftest import SignIn
from tests.cast import acting
from tests.factories import IncidentFactory, RunFactory, WorkflowFactory
from tests.support.console import World

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

N_OF_BILLING = 52  # the last two stand on a second page
# Which rows in which order, which choice is the chosen one, and what the fields of the filter hold.
VIEW = """() => ({
  rows: [...document.querySelectorAll(".row .title, .timeline b, main .figure b")].map((one) => one.textContent),
  chosen: [...document.querySelectorAll("main [aria-current]")].map((one) => one.textContent.trim()),
  fields: [...document.querySelectorAll("main [name=q], main select, .chip")]
    .map((one) => one.value ?? one.textContent),
  title: document.title,
})"""
LIST = "/incidents/?tab=open&q=workflow%3Abilling+age%3A%3E1h&ordering=-event_count&page=2"
RUNS = "/runs/?state=waived&workflow=billing"
ANALYTICS = "/analytics/?range=24h"


@pytest.fixture
def desk(cast: World, sign_in: SignIn) -> Page:
    """alice at Acme with two pages of incidents, in another order by events than by time."""
    with scoping.bound(cast.acme.pk) as now:
        billing = WorkflowFactory(tenant=cast.acme, slug="billing")
        for number in range(N_OF_BILLING):
            seen = now - timedelta(hours=2, minutes=number)
            IncidentFactory(
                tenant=cast.acme, workflow=billing, first_seen_at=seen, event_count=1 + number % 26
            )
        incident = IncidentFactory(tenant=cast.acme, title="The one that is looked at")
        for verb in ("decided", "commented"):
            journal.record(incident, verb, by=acting(cast.alice), at=now, note=verb)
        for state in ("failed", "waived", "waived"):
            RunFactory(tenant=cast.acme, workflow=billing, state=state)
    page = sign_in(cast.alice)
    page.goto("/incidents/?tab=open")
    page.get_by_role("link", name="The one that is looked at").click()
    return page


def _is_kept(page: Page, change: Callable[[], object]) -> None:
    """The view stands after a reload, and after going somewhere else and back and forth."""
    shown, address = page.evaluate(VIEW), page.url
    page.reload()
    assert page.evaluate(VIEW) == shown
    change()
    page.wait_for_url(lambda url: url != address)
    there = page.evaluate(VIEW)
    assert there != shown
    elsewhere = page.url
    page.go_back()
    page.wait_for_url(address)
    assert page.evaluate(VIEW) == shown
    page.go_forward()
    page.wait_for_url(elsewhere)
    assert page.evaluate(VIEW) == there


def test_a_list_stays_as_it_was_asked_for(desk: Page) -> None:
    desk.goto(LIST)
    expect(desk.locator(".row")).to_have_count(N_OF_BILLING - 50)
    expect(desk.locator(".chip")).to_have_count(2)
    _is_kept(desk, lambda: desk.locator("a[rel=prev]").click())
    desk.goto(RUNS)
    expect(desk.locator(".row")).to_have_count(2)
    _is_kept(desk, lambda: desk.locator("[name=state]").select_option("failed"))


def test_an_incident_and_the_analytics_stay_as_they_were_asked_for(desk: Page) -> None:
    desk.get_by_role("link", name="Notes").click()
    expect(desk.locator(".timeline b")).to_have_text(["Note"])
    desk.get_by_role("link", name="7d").click()
    expect(desk.locator(".spans a[aria-current]")).to_have_text(["7d", "Notes"])
    _is_kept(desk, lambda: desk.get_by_role("link", name="Decisions", exact=True).click())
    desk.goto(ANALYTICS)
    _is_kept(desk, lambda: desk.locator(".spans a").last.click())
