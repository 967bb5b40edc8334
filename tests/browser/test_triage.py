"""Triage where only a browser shows it: ticked rows, the bar for all of them, and the key that takes it back."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Opened, SignIn, held, press
from tests.factories import IncidentFactory
from tests.support.console import World

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def desk(cast: World, sign_in: SignIn) -> Page:
    for _ in range(4):
        IncidentFactory(tenant=cast.acme)
    page = sign_in(cast.alice)
    page.goto("/incidents/?tab=open")
    return page


@pytest.mark.smoke
def test_rows_are_ticked_resolved_and_undone_by_key(desk: Page) -> None:
    # CONSOLE.md: x J J e resolves neighbours, z takes it back
    press(desk, "j")
    for key in ("x", "J", "J"):
        press(desk, key)
    expect(desk.locator(".bulk [data-count]")).to_have_text("3 selected")
    press(desk, "e")
    expect(desk.locator(".toast").last).to_contain_text("3 incidents resolved")
    expect(desk.locator(".row-gone")).to_have_count(3)
    expect(desk.locator(".bulk")).to_be_hidden()
    press(desk, "z")
    expect(desk.locator(".toast").last).to_contain_text("3 are as before")
    expect(desk.locator(".row-gone")).to_have_count(0)


def test_one_row_is_snoozed_given_and_noted_by_key(desk: Page) -> None:
    press(desk, "j")
    press(desk, "s")
    press(desk, "3")
    expect(desk.locator(".row .pill").first).to_have_text("Snoozed")
    press(desk, "z")
    expect(desk.locator(".row .pill").first).to_have_text("Open")
    press(desk, "i")
    press(desk, "i")
    expect(desk.locator(".toast").last).to_contain_text("given to Alice")
    press(desk, "i")  # and alone it asks whom
    expect(desk.locator("dialog")).to_contain_text("Whose is")
    press(desk, "Escape")
    press(desk, "Enter")
    expect(desk.locator("#incident")).to_be_visible()
    press(desk, "c")
    desk.keyboard.type("**on it**")
    desk.get_by_role("button", name="Add note").click()
    expect(desk.locator(".note strong")).to_have_text("on it")


@pytest.fixture
def pill(desk: Page) -> Locator:
    """The state of the first row."""
    return desk.locator(".row .pill").first


def test_on_a_slow_line_a_verb_shows_at_once_what_it_makes(desk: Page, pill: Locator) -> None:
    with held(desk, "/acknowledge/$"):
        press(desk, "a")
        expect(pill).to_have_text("Acknowledged")
        expect(desk.locator(".row").first).to_have_attribute("aria-busy", "true")
    expect(desk.locator("[aria-busy], [data-becoming]")).to_have_count(0)
    expect(pill).to_have_text("Acknowledged")


def test_a_verb_that_nobody_answers_is_taken_back_and_offered_again(
    desk: Page, pill: Locator, opened: Opened
) -> None:
    desk.route(re.compile("/acknowledge/$"), lambda route: route.abort())
    press(desk, "a")
    expect(desk.locator(".toast")).to_contain_text("No answer from the server.")
    expect(pill).to_have_text("Open")
    desk.unroute(re.compile("/acknowledge/$"))
    desk.get_by_role("button", name="Retry").click()
    expect(desk.locator(".toast")).to_contain_text("acknowledged")
    expect(pill).to_have_text("Acknowledged")
    [complaint] = opened.complaints
    assert "Failed to fetch" in complaint
    opened.complaints.clear()


def test_a_dialog_that_does_not_come_is_not_the_one_before(desk: Page, opened: Opened) -> None:
    press(desk, "j")
    press(desk, "i")
    expect(desk.locator("dialog")).to_contain_text("Whose is")
    press(desk, "Escape")
    desk.route(re.compile("/merge/$"), lambda route: route.abort())
    press(desk, "m")
    expect(desk.locator(".toast")).to_contain_text("No answer from the server.")
    expect(desk.locator("dialog")).to_be_hidden()
    opened.complaints.clear()


@pytest.mark.parametrize("n_taken_back", [1, 2])
def test_on_a_slow_line_the_step_just_done_is_taken_back_first(
    desk: Page, n_taken_back: int
) -> None:
    pills, numbers = desk.locator(".row .pill"), desk.locator(".row .meta span:first-child")
    press(desk, "a")
    expect(desk.locator(".toast")).to_contain_text("acknowledged")  # and offers to take that back
    press(desk, "j")
    steps = [numbers.nth(1).inner_text(), numbers.nth(0).inner_text()]
    with held(desk, "/acknowledge/$"):
        press(desk, "a")
        for _ in range(n_taken_back):
            press(desk, "z")
    said = [f"Undone: {number} is as it was" for number in steps[:n_taken_back]]
    expect(desk.locator(".toast", has_text="Undone")).to_have_text(
        [re.compile(text) for text in said]
    )
    expect(pills.nth(1)).to_have_text("Open")
    expect(pills.nth(0)).to_have_text("Open" if n_taken_back > 1 else "Acknowledged")


def test_on_a_slow_line_the_cursor_goes_on_after_a_verb_for_many(desk: Page) -> None:
    for key in ("j", "x", "J"):
        press(desk, key)
    with held(desk, "/bulk/"):
        press(desk, "e")
        press(desk, "j")
    expect(desk.locator(".toast").last).to_contain_text("2 incidents resolved")
    expect(desk.locator(".row .title").nth(2)).to_be_focused()


def test_on_a_slow_line_keys_after_enter_are_not_for_the_page_that_is_left(desk: Page) -> None:
    title = desk.locator(".row .title").first
    done: list[str] = []
    desk.on("request", lambda asked: done.append(asked.url) if asked.method == "POST" else None)
    with held(desk, title.get_attribute("href") or ""):
        press(desk, "Enter")
        desk.keyboard.press("a")
    expect(desk.locator("#incident")).to_be_visible()
    assert done == []


def test_ten_incidents_take_nineteen_keys_and_the_cursor_is_always_seen(
    cast: World, desk: Page
) -> None:
    for _ in range(6):
        IncidentFactory(tenant=cast.acme)
    desk.reload()
    pills = desk.locator(".row .pill")
    expect(pills).to_have_count(10)
    n_keys = 0
    for row in range(10):
        for key in ("j", "a") if row else ("a",):
            press(desk, key)
            n_keys += 1
        expect(pills.nth(row)).to_have_text("Acknowledged")
        assert desk.evaluate("document.activeElement.matches('.row .title:focus-visible')")
    assert n_keys == 19  # CONSOLE.md allows 25


def test_without_javascript_rows_are_ticked_and_undone_by_forms(
    cast: World, sign_in: SignIn
) -> None:
    for _ in range(2):
        IncidentFactory(tenant=cast.acme)
    page = sign_in(cast.alice, java_script_enabled=False)
    page.goto("/incidents/?tab=open")
    page.locator("input[name=ids]").first.check()
    page.locator(".bulk").get_by_role("button", name="Resolve").click()
    expect(page.locator(".toast")).to_contain_text("1 incident resolved")
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(page.locator(".toast")).to_contain_text(re.compile("1 is as before"))
