"""The whole triage with JavaScript off: every button is a form, every panel a link."""

import pytest
from playwright.sync_api import Page, expect

from actions import planning
from tests.browser.conftest import SignIn
from tests.support.console import World, incident_of, report, workflow_with_retries

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def desk(cast: World, sign_in: SignIn) -> Page:
    report(cast.acme, runs=["run-1"])
    return sign_in(cast.alice, java_script_enabled=False)


@pytest.mark.smoke
def test_find_open_acknowledge_and_resolve(cast: World, desk: Page) -> None:
    desk.goto("/incidents/?tab=open")
    desk.get_by_label("Search title, code or number").fill("capture")
    desk.get_by_role("button", name="Apply").click()
    desk.get_by_role("link", name="Capture timed out").click()
    desk.get_by_role("button", name="Acknowledge").click()
    expect(desk.locator(".verbs > .pill")).to_have_text("Acknowledged")
    expect(desk.locator(".toast")).to_contain_text("INC-1 acknowledged")
    desk.locator("summary[data-verb=resolve]").click()
    desk.locator("#resolve-reason").fill("refunded by hand")
    desk.get_by_label("Give up on the runs that are left").check()
    desk.locator("details[open]").get_by_role("button", name="Resolve").click()
    expect(desk.locator(".verbs > .pill")).to_have_text("Resolved")
    desk.get_by_role("button", name="Reopen").click()
    expect(desk.locator(".verbs > .pill")).to_have_text("Open")


def test_ignore_and_escalate(cast: World, desk: Page) -> None:
    desk.goto(incident_of(cast.acme).get_absolute_url())
    desk.locator("summary[data-verb=ignore]").click()
    desk.locator("#ignore-reason").fill("test account")
    desk.locator("details[open]").get_by_role("button", name="Ignore").click()
    expect(desk.locator(".verbs > .pill")).to_have_text("Ignored")
    expect(desk.locator(".timeline")).to_contain_text("test account")


def test_find_a_run_and_give_it_up(desk: Page) -> None:
    desk.goto("/runs/")
    desk.get_by_label("Find a run by its id").fill("run-1")
    desk.get_by_role("button", name="Apply").click()
    desk.get_by_role("link", name="run-1").click()
    desk.locator("summary[data-verb=waive]").click()
    desk.locator("#waive-reason").fill("refunded by hand")
    desk.get_by_role("button", name="Waive").click()
    expect(desk.locator(".verbs > .pill")).to_have_text("Waived")
    expect(desk.locator(".toast")).to_contain_text("run-1 waived")
    expect(desk.locator(".timeline")).to_contain_text("refunded by hand")
    desk.get_by_role("link", name="Capture timed out").click()
    expect(desk.locator(".counts")).to_contain_text("1 waived")
    desk.get_by_role("link", name="0 left").click()
    expect(desk.locator("#runs")).to_contain_text("No run matches")


def test_the_actions_of_a_run_are_a_page_of_their_own(desk: Page) -> None:
    desk.goto("/runs/")
    desk.get_by_role("link", name="run-1").click()
    desk.get_by_role("link", name="Show actions and attempts").click()
    expect(desk.locator("h1")).to_have_text("Actions of run run-1")


@pytest.mark.smoke
def test_stop_and_lift(desk: Page) -> None:
    desk.goto("/incidents/")
    desk.get_by_role("link", name="STOP").click()
    desk.get_by_label("Why?").fill("double posting")
    desk.get_by_role("button", name="Stop now").click()
    expect(desk.locator("#stopped")).to_contain_text("double posting")
    desk.get_by_role("link", name="Review").click()
    desk.locator("summary", has_text="Lift").click()
    desk.get_by_label("Why is it safe again?").fill("fixed")
    desk.get_by_role("button", name="Lift, let actions continue").click()
    expect(desk.locator(".stopped")).to_have_count(0)


def test_approve_a_retry(cast: World, sign_in: SignIn) -> None:
    workflow_with_retries(cast.acme, "billing", idempotent="no")
    report(cast.acme, vendor="stripe")
    planning.plan_due()
    page = sign_in(cast.alice, java_script_enabled=False)
    page.goto("/incidents/")
    expect(page.locator(".row .pill")).to_have_text("Needs approval")
    page.locator(".row .title").click()
    page.locator("summary[data-verb=approve]").click()
    page.get_by_role("button", name="Approve 1 retry of billing").click()
    page.get_by_role("link", name="Show actions and attempts").click()
    expect(page.locator(".action .pill").first).to_have_text("Pending")


def test_theme_and_tenant(desk: Page) -> None:
    desk.goto("/incidents/")
    desk.locator("[data-theme-switch]").click()
    expect(desk.locator("html")).to_have_attribute("data-theme", "light")
    desk.locator(".tenant summary").click()
    desk.get_by_role("link", name="Switch tenant").click()
    desk.get_by_role("button", name="Acme").click()
    expect(desk.locator("h1")).to_have_text("Overview")
