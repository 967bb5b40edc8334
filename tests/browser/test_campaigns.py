"""A campaign in the browser: planned in the dialog, watched live, moved with and without JavaScript, fine for axe."""

import pytest
from playwright.sync_api import Page, expect

from actions import campaign_stages
from awfdrs_site.lib import live
from tests.browser.axe import is_fine, options
from tests.browser.conftest import AXE, SignIn
from tests.support.console import World, incident_of, report, workflow_with_retries

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def incident_url(cast: World) -> str:
    """Three hurt runs of one incident that can be called again."""
    workflow_with_retries(cast.acme, "billing")
    report(cast.acme, runs=["run-1", "run-2", "run-3"])
    return incident_of(cast.acme).get_absolute_url()


def plan(page: Page, incident_url: str) -> None:
    page.goto(incident_url)
    page.get_by_role("link", name="Plan a campaign for 3 runs").click()
    page.locator("#plan-form").get_by_role("button", name="Plan").click()
    expect(page.locator("h1")).to_have_text("Campaign: 3 runs of INC-1")


def test_it_is_planned_and_watched_live_and_axe_finds_nothing(
    cast: World, sign_in: SignIn, incident_url: str
) -> None:
    page = sign_in(cast.alice, **options("wide"))
    page.add_init_script(path=AXE)
    plan(page, incident_url)
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    page.get_by_role("button", name="Start").click()
    expect(page.locator(".verbs > .pill")).to_have_text("Running")
    # nobody reloads: the stage begins, and its call is made
    for _ in range(2):
        campaign_stages.advance_due()
        live.drain()
    expect(page.locator("[aria-current=step]")).to_contain_text("Stage 1, now")
    expect(page.locator("[aria-current=step]")).to_contain_text("called, not settled yet")
    is_fine(page)


def test_every_button_is_a_form(cast: World, sign_in: SignIn, incident_url: str) -> None:
    page = sign_in(cast.alice, java_script_enabled=False)
    page.goto(incident_url)
    page.get_by_role("link", name="Show actions and attempts").click()
    page.get_by_role("link", name="Plan a campaign for 3 runs").click()
    page.get_by_role("button", name="Plan").click()
    page.get_by_role("button", name="Start").click()
    expect(page.locator(".verbs > .pill")).to_have_text("Running")
    page.locator("summary[data-verb=pause]").click()
    page.locator("#pause-reason").fill("look first")
    page.locator("details[open]").get_by_role("button", name="Pause").click()
    expect(page.locator(".verbs > .pill")).to_have_text("Paused")
    expect(page.locator(".step")).to_contain_text("look first")
