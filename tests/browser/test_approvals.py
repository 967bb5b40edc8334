"""Approving in a browser: what would run stands there first, by keyboard and without JavaScript."""

import pytest
from playwright.sync_api import expect

from actions import planning
from actions.models import Approval
from tenants import scoping
from tests.browser.conftest import SignIn, press
from tests.support.console import World, incident_of, report, workflow_with_retries

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

# Whatever moves from now on, by name.
SHIFTS = """() => {
  window.shifts = [];
  new PerformanceObserver((list) => window.shifts.push(...list.getEntries().flatMap((one) =>
    one.sources.map(({ node }) => node?.nodeName + "." + node?.className)))).observe({ type: "layout-shift" });
}"""
DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(window.shifts))))"


@pytest.fixture
def incident_url(cast: World) -> str:
    """An incident of three runs whose retries wait for a person."""
    workflow_with_retries(cast.acme, "billing", idempotent="no")
    report(cast.acme, vendor="stripe", runs=["run-1", "run-2", "run-3"])
    planning.plan_due()
    return incident_of(cast.acme).get_absolute_url()


def _approval_url(cast: World) -> str:
    with scoping.bound(cast.acme.pk):
        return f"/approvals/{Approval.objects.for_tenant(cast.acme).get().pk}/"


@pytest.mark.smoke
def test_enter_y_enter_approves_what_waits(cast: World, sign_in: SignIn, incident_url: str) -> None:
    page = sign_in(cast.alice)
    page.goto("/incidents/")
    press(page, "j")
    press(page, "Enter")
    expect(page.locator("#asked .asked")).to_contain_text("3 retries of billing")
    press(page, "y")
    expect(page.locator("details[open] .menu-panel")).to_contain_text("3 calls to")
    press(page, "Enter")
    expect(page.locator(".toast")).to_contain_text("Approved")
    expect(page.locator("#actions .action .pill").first).to_have_text("Pending")


def test_an_approval_that_comes_meanwhile_moves_nothing_until_it_is_shown(
    cast: World, sign_in: SignIn
) -> None:
    workflow_with_retries(cast.acme, "billing", idempotent="no")
    report(cast.acme, vendor="stripe", runs=["run-1"])
    page = sign_in(cast.alice)
    page.goto(incident_of(cast.acme).get_absolute_url())
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    expect(page.locator("#actions a.link")).to_have_count(0)  # what stood there until they came
    page.evaluate(SHIFTS)
    planning.plan_due()
    expect(page.locator("#show-changed")).to_contain_text("Approval asked, show")
    expect(page.locator(".verbs > .pill")).to_have_text("Needs approval")
    expect(page.locator("#asked .asked")).to_be_hidden()
    assert page.evaluate(DRAWN) == []
    press(page, ".")
    expect(page.locator("#asked .asked")).to_contain_text("1 retry of billing")
    expect(page.locator("#show-changed")).to_be_hidden()


def test_y_and_n_on_the_approvals_own_page(cast: World, sign_in: SignIn, incident_url: str) -> None:
    page = sign_in(cast.alice)
    page.goto("/incidents/")
    press(page, "g")
    press(page, "a")
    expect(page.locator("h1")).to_have_text("Approvals")
    expect(page.locator("#approvals-count")).to_contain_text("1")
    press(page, "j")
    press(page, "Enter")
    expect(page.locator("h1")).to_have_text("3 retries of billing")
    press(page, "n")
    page.keyboard.type("paid by hand")
    page.get_by_role("button", name="Reject 3 retries of billing").click()
    expect(page.locator(".verbs > .pill")).to_have_text("Rejected")
    expect(page.locator("#approval")).to_contain_text("Alice rejected it: paid by hand")


def test_without_javascript(cast: World, sign_in: SignIn, incident_url: str) -> None:
    page = sign_in(cast.alice, java_script_enabled=False)
    page.goto("/approvals/")
    page.locator(".row .title").click()
    page.locator("summary[data-verb=approve]").click()
    page.get_by_role("button", name="Approve 3 retries of billing").click()
    expect(page.locator(".toast")).to_contain_text("Approved")
    expect(page.locator(".verbs > .pill")).to_have_text("Approved")
