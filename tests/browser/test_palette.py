"""The command palette, and what the hand pays for the usual things: a table of keys."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import RULES, RUN
from tests.browser.conftest import AXE, SignIn, held, press
from tests.support.console import World, report

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def desk(cast: World, sign_in: SignIn) -> Page:
    for number in range(6):
        report(
            cast.acme,
            workflow=f"flow-{number}",
            error_code=f"flow_{number}_failed",
            runs=[f"r-{number}"],
        )
    page = sign_in(cast.alice)
    page.add_init_script(path=AXE)
    page.goto("/incidents/?tab=open")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    page.wait_for_load_state("networkidle")  # what the reports made known is on the page
    return page


def keys(page: Page, *pressed: str) -> int:
    for key in pressed:
        press(page, key)
    return len(pressed)


def test_the_usual_things_cost_eleven_keys(desk: Page) -> None:
    pills, toast = desk.locator(".row .pill"), desk.locator(".toast").last
    acknowledged = keys(desk, "a")
    expect(pills.first).to_have_text("Acknowledged")
    undone = keys(desk, "z")
    expect(toast).to_contain_text("as it was")
    desk.reload()
    snoozed = keys(desk, "s", "3")
    expect(toast).to_contain_text("snoozed")
    desk.reload()
    resolved = keys(desk, "x", "J", "J", "J", "J", "e")
    expect(desk.locator("dialog[open]").or_(desk.locator(".toast"))).to_be_visible()
    desk.goto("/incidents/?tab=open")
    opened = keys(desk, "Enter")
    expect(desk.locator("#incident")).to_be_visible()
    assert acknowledged + undone + snoozed + resolved + opened == 11  # CONSOLE.md tasks 1 2 3 6 8


@pytest.mark.smoke
def test_a_runaway_workflow_is_stopped_from_the_palette(desk: Page) -> None:
    press(desk, "Control+k")
    expect(desk.locator("#palette")).to_be_focused()
    assert desk.evaluate(RUN, RULES) == []
    desk.keyboard.type("kill flow-3")
    press(desk, "Enter")
    expect(desk.locator("#id_what option:checked")).to_have_text("flow-3")
    expect(desk.locator("dialog textarea")).to_be_focused()
    desk.keyboard.type("posts twice")
    press(desk, "Enter")
    expect(desk.locator("#stopped")).to_contain_text("posts twice")


def test_on_a_slow_line_what_is_typed_for_a_dialog_is_no_key_of_the_page(desk: Page) -> None:
    with held(desk, "/stop/"):
        press(desk, "Control+k")
        desk.keyboard.type("kill flow-3")
        press(desk, "Enter")
        desk.keyboard.type("a queue ran awayy")  # "a" would acknowledge, "u" turn the clock
        press(desk, "Backspace")
    expect(desk.locator("dialog textarea")).to_have_value("a queue ran away")
    expect(desk.locator(".row .pill-acknowledged")).to_have_count(0)
    press(desk, "Escape")
    with held(desk, "/stop/"):
        keys(desk, "Control+k")
        desk.keyboard.type("kill")
        keys(desk, "Enter", "Escape", "j")  # given up: the keys are the page's again
        expect(desk.locator(".row .title").first).to_be_focused()
    expect(desk.locator("dialog")).to_be_hidden()


def test_the_palette_goes_places_acts_on_the_cursor_and_takes_back(desk: Page) -> None:
    press(desk, "j")
    press(desk, "Control+k")
    desk.keyboard.type("ackn")
    expect(desk.locator("[role=option][aria-selected=true]")).to_contain_text("Acknowledge")
    press(desk, "Enter")
    expect(desk.locator(".row .pill").first).to_have_text("Acknowledged")
    expect(desk.locator(".toast")).to_contain_text("acknowledged")
    press(desk, "Control+k")
    desk.keyboard.type("undo ack")
    expect(desk.locator("[role=option][aria-selected=true]")).to_contain_text("Undo acknowledge")
    press(desk, "Enter")
    expect(desk.locator(".toast").last).to_contain_text("as it was")
    press(desk, "Control+k")
    desk.keyboard.type("vend")
    press(desk, "Enter")
    expect(desk).to_have_url(re.compile("/vendors/$"))
