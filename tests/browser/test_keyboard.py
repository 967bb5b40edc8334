"""Triage by keyboard: the cursor is real focus, and keys are left alone where people type."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SignIn, held, press
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
    press(desk, "j")
    expect(desk.locator(".row .title").nth(0)).to_be_focused()
    press(desk, "j")
    press(desk, "j")
    press(desk, "k")
    second = desk.locator(".row .title").nth(1)
    expect(second).to_be_focused()
    address = second.get_attribute("href")
    press(desk, "Enter")
    expect(desk).to_have_url(re.compile(f"{address}$"))
    press(desk, "Backspace")
    expect(desk.locator("h1")).to_have_text("Incidents")


def test_a_acknowledges_and_the_cursor_stays(desk: Page) -> None:
    press(desk, "j")
    press(desk, "a")
    expect(desk.locator(".row .pill").nth(0)).to_have_text("Acknowledged")
    expect(desk.locator(".toast")).to_contain_text("acknowledged")
    expect(desk.locator(".row .title").nth(0)).to_be_focused()


def test_a_refused_key_says_why(desk: Page) -> None:
    press(desk, "j")
    press(desk, "e")
    expect(desk.locator(".toast")).to_contain_text("1 run")


def test_on_a_slow_line_what_is_refused_was_shown_and_is_taken_back(desk: Page) -> None:
    pill = desk.locator(".row .pill").first
    before = pill.inner_text()
    with held(desk, "/resolve/$"):
        press(desk, "e")
        expect(pill).to_have_text("Resolved")
    expect(desk.locator(".toast")).to_contain_text("1 run")
    expect(pill).to_have_text(before)
    expect(desk.locator("[aria-busy], [data-becoming]")).to_have_count(0)


def test_keys_are_left_alone_where_people_type(desk: Page) -> None:
    press(desk, "/")
    desk.keyboard.type("jaek")
    expect(desk.locator("#q")).to_have_value("jaek")
    expect(desk.locator(".toast")).to_have_count(0)


def test_e_on_an_incident_asks_for_what_it_needs(desk: Page) -> None:
    press(desk, "j")
    press(desk, "Enter")
    expect(desk.locator("#incident")).to_be_visible()
    press(desk, "e")
    expect(desk.locator("#resolve-reason")).to_be_focused()
    press(desk, "Escape")
    press(desk, "Escape")


def test_l_says_the_kind_m_copies_r_sends_again_and_space_ticks_a_step(
    cast: World, desk: Page
) -> None:
    incident = incident_of(cast.acme, number=1)
    ActionFactory(tenant=cast.acme, incident=incident, status="unknown")
    RunbookFactory(tenant=cast.acme, workflow=incident.workflow, text="- [ ] Look at the queue")
    desk.context.grant_permissions(["clipboard-read", "clipboard-write"])
    desk.goto(incident.get_absolute_url())
    press(desk, "l")
    expect(desk.locator("#said-category")).to_be_focused()
    press(desk, "Escape")
    press(desk, "M")
    expect(desk.locator(".toast")).to_contain_text("Copied as Markdown")
    assert incident.title in desk.evaluate("navigator.clipboard.readText()")
    expect(desk.locator("[data-verb=run]")).to_be_attached()  # the panel comes by itself
    press(desk, "r")
    expect(desk.locator(".toast").last).to_contain_text("It is sent as soon as its limits allow.")
    box = desk.get_by_role("checkbox", name="Look at the queue")
    box.focus()
    press(desk, "Space")
    expect(box).to_be_checked()
    expect(box).to_be_focused()


def test_the_sheet_lists_every_key_and_two_stroke_keys_go_places(desk: Page) -> None:
    press(desk, "?")
    expect(desk.locator("dialog")).to_contain_text("Acknowledge")
    press(desk, "Escape")
    expect(desk.locator("dialog")).to_be_hidden()
    press(desk, "g")
    press(desk, "k")
    expect(desk.locator("h1")).to_have_text("Kill switches")


def test_g_r_goes_to_runs_where_j_k_and_enter_work_too(desk: Page) -> None:
    press(desk, "g")
    press(desk, "r")
    expect(desk.locator("h1")).to_have_text("Runs")
    press(desk, "j")
    first = desk.locator(".row .title").nth(0)
    expect(first).to_be_focused()
    press(desk, "a")  # what is done to incidents is done to no run
    expect(desk.locator(".toast")).to_have_count(0)
    press(desk, "Enter")
    expect(desk.locator("#run h1")).to_have_text("receipts-1")
    press(desk, "Backspace")
    expect(desk.locator("h1")).to_have_text("Runs")


def test_stop_is_reached_by_keyboard(desk: Page) -> None:
    press(desk, "!")
    expect(desk.locator("dialog")).to_contain_text("Stop automatic actions")
    press(desk, "Escape")
    expect(desk.locator("dialog")).to_be_hidden()


def test_stop_is_two_keys_away_from_a_field_and_from_a_dialog(desk: Page) -> None:
    desk.locator("#q").focus()
    press(desk, "Escape")
    press(desk, "!")
    expect(desk.locator("dialog")).to_contain_text("Stop automatic actions")
    press(desk, "Escape")
    press(desk, "?")
    press(desk, "Escape")
    press(desk, "!")
    expect(desk.locator("dialog[open]")).to_contain_text("Stop automatic actions")


def test_t_switches_the_theme_at_once_and_for_the_next_page(desk: Page) -> None:
    press(desk, "t")
    expect(desk.locator("html")).to_have_attribute("data-theme", "light")
    press(desk, "t")
    desk.reload()
    expect(desk.locator("html")).to_have_attribute("data-theme", "dark")
