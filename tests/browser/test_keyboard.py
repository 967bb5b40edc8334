"""Triage by keyboard: the cursor is real focus, and keys are left alone where people type."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SignIn
from tests.factories import ActionFactory, RunbookFactory
from tests.support.console import World, incident_of, report

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def desk(cast: World, sign_in: SignIn) -> Page:
    for name in ("billing", "shipping", "receipts"):
        report(cast.acme, workflow=name, error_code=f"{name}_failed", runs=[f"{name}-1"])
    page = sign_in(cast.alice)
    page.goto("/incidents/?tab=open")
    return page


@pytest.mark.smoke
def test_j_and_k_move_real_focus_and_enter_opens(desk: Page) -> None:
    desk.keyboard.press("j")
    expect(desk.locator(".row .title").nth(0)).to_be_focused()
    desk.keyboard.press("j")
    desk.keyboard.press("j")
    desk.keyboard.press("k")
    second = desk.locator(".row .title").nth(1)
    expect(second).to_be_focused()
    address = second.get_attribute("href")
    desk.keyboard.press("Enter")
    expect(desk).to_have_url(re.compile(f"{address}$"))
    desk.keyboard.press("Backspace")
    expect(desk.locator("h1")).to_have_text("Incidents")


def test_a_acknowledges_and_the_cursor_stays(desk: Page) -> None:
    desk.keyboard.press("j")
    desk.keyboard.press("a")
    expect(desk.locator(".row .pill").nth(0)).to_have_text("Acknowledged")
    expect(desk.locator(".toast")).to_contain_text("acknowledged")
    expect(desk.locator(".row .title").nth(0)).to_be_focused()


def test_a_refused_key_says_why(desk: Page) -> None:
    desk.keyboard.press("j")
    desk.keyboard.press("e")
    expect(desk.locator(".toast")).to_contain_text("1 run")


def test_keys_are_left_alone_where_people_type(desk: Page) -> None:
    desk.keyboard.press("/")
    desk.keyboard.type("jaek")
    expect(desk.locator("#q")).to_have_value("jaek")
    expect(desk.locator(".toast")).to_have_count(0)


def test_e_on_an_incident_asks_for_what_it_needs(desk: Page) -> None:
    desk.keyboard.press("j")
    desk.keyboard.press("Enter")
    expect(desk.locator("#incident")).to_be_visible()
    desk.keyboard.press("e")
    expect(desk.locator("#resolve-reason")).to_be_focused()
    desk.keyboard.press("Escape")
    desk.keyboard.press("Escape")


def test_l_says_the_kind_m_copies_r_sends_again_and_space_ticks_a_step(
    cast: World, desk: Page
) -> None:
    incident = incident_of(cast.acme, number=1)
    ActionFactory(tenant=cast.acme, incident=incident, status="unknown")
    RunbookFactory(tenant=cast.acme, workflow=incident.workflow, text="- [ ] Look at the queue")
    desk.context.grant_permissions(["clipboard-read", "clipboard-write"])
    desk.goto(incident.get_absolute_url())
    desk.keyboard.press("l")
    expect(desk.locator("#said-category")).to_be_focused()
    desk.keyboard.press("Escape")
    desk.keyboard.press("M")
    expect(desk.locator(".toast")).to_contain_text("Copied as Markdown")
    assert incident.title in desk.evaluate("navigator.clipboard.readText()")
    expect(desk.locator("[data-verb=run]")).to_be_attached()  # the panel comes by itself
    desk.keyboard.press("r")
    expect(desk.locator(".toast").last).to_contain_text("It is sent as soon as its limits allow.")
    box = desk.get_by_role("checkbox", name="Look at the queue")
    box.focus()
    desk.keyboard.press("Space")
    expect(box).to_be_checked()
    expect(box).to_be_focused()


def test_the_sheet_lists_every_key_and_two_stroke_keys_go_places(desk: Page) -> None:
    desk.keyboard.press("?")
    expect(desk.locator("dialog")).to_contain_text("Acknowledge")
    desk.keyboard.press("Escape")
    expect(desk.locator("dialog")).to_be_hidden()
    desk.keyboard.press("g")
    desk.keyboard.press("k")
    expect(desk.locator("h1")).to_have_text("Kill switches")


def test_g_r_goes_to_runs_where_j_k_and_enter_work_too(desk: Page) -> None:
    desk.keyboard.press("g")
    desk.keyboard.press("r")
    expect(desk.locator("h1")).to_have_text("Runs")
    desk.keyboard.press("j")
    first = desk.locator(".row .title").nth(0)
    expect(first).to_be_focused()
    desk.keyboard.press("a")  # what is done to incidents is done to no run
    expect(desk.locator(".toast")).to_have_count(0)
    desk.keyboard.press("Enter")
    expect(desk.locator("#run h1")).to_have_text("receipts-1")
    desk.keyboard.press("Backspace")
    expect(desk.locator("h1")).to_have_text("Runs")


def test_stop_is_reached_by_keyboard(desk: Page) -> None:
    desk.keyboard.press("!")
    expect(desk.locator("dialog")).to_contain_text("Stop automatic actions")
    desk.keyboard.press("Escape")
    expect(desk.locator("dialog")).to_be_hidden()


def test_stop_is_two_keys_away_from_a_field_and_from_a_dialog(desk: Page) -> None:
    desk.locator("#q").focus()
    desk.keyboard.press("Escape")
    desk.keyboard.press("!")
    expect(desk.locator("dialog")).to_contain_text("Stop automatic actions")
    desk.keyboard.press("Escape")
    desk.keyboard.press("?")
    desk.keyboard.press("Escape")
    desk.keyboard.press("!")
    expect(desk.locator("dialog[open]")).to_contain_text("Stop automatic actions")


def test_t_switches_the_theme_at_once_and_for_the_next_page(desk: Page) -> None:
    desk.keyboard.press("t")
    expect(desk.locator("html")).to_have_attribute("data-theme", "light")
    desk.keyboard.press("t")
    desk.reload()
    expect(desk.locator("html")).to_have_attribute("data-theme", "dark")
