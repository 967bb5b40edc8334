"""The query box in a browser: completed by keyboard, filled by clicks, and never a trap."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import RULES, RUN
from tests.browser.conftest import AXE, SignIn, held, press
from tests.support.console import World, report

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def desk(cast: World, sign_in: SignIn) -> Page:
    for name, vendor in (("billing", "stripe"), ("shipping", "fedex")):
        report(cast.acme, workflow=name, vendor=vendor, error_code=f"{name}_failed", runs=[name])
    page = sign_in(cast.alice)
    page.add_init_script(path=AXE)
    page.goto("/incidents/?tab=open")
    return page


@pytest.mark.smoke
def test_keys_and_values_are_completed_and_asked_by_keyboard_alone(desk: Page) -> None:
    press(desk, "/")
    desk.keyboard.type("work")
    expect(desk.locator("#q-options [role=option]")).to_contain_text(["workflow:"])
    press(desk, "Tab")
    expect(desk.locator("#q")).to_have_value("workflow:")
    expect(desk.locator("#q-options [role=option]")).to_have_count(2)
    press(desk, "ArrowDown")
    press(desk, "ArrowDown")
    expect(desk.locator("#q")).to_have_attribute("aria-activedescendant", "q-option-2")
    assert desk.evaluate(RUN, RULES) == []
    press(desk, "Enter")
    expect(desk.locator("#q")).to_have_value("workflow:shipping ")
    press(desk, "Enter")  # nothing is chosen now: it asks
    expect(desk).to_have_url(re.compile(r"q=workflow%3Ashipping"))
    expect(desk.locator(".row")).to_have_count(1)


def test_a_key_never_takes_what_was_offered_for_an_earlier_text(desk: Page) -> None:
    press(desk, "/")
    expect(desk.locator("#q-options [role=option]").first).to_have_text(re.compile("is:"))
    with held(desk, r"/complete/\?q=work"):
        desk.keyboard.type("work")
        press(desk, "Tab")  # faster than the answer
        expect(desk.locator("#q")).to_have_value("work")
    expect(desk.locator("#q")).to_have_value("workflow:")


def test_a_second_tab_leaves_the_box_though_nothing_answers(desk: Page) -> None:
    press(desk, "/")
    expect(desk.locator("#q-options [role=option]").first).to_have_text(re.compile("is:"))
    with held(desk, r"/complete/\?q=work"):
        desk.keyboard.type("work")
        press(desk, "Tab")
        expect(desk.locator("#q")).to_be_focused()
        press(desk, "Tab")
        expect(desk.locator("#q")).not_to_be_focused()
        expect(desk.locator("#q")).to_have_value("work")


def test_a_click_on_a_property_narrows_the_view_and_an_alt_click_leaves_it_out(desk: Page) -> None:
    desk.locator(".narrows", has_text="stripe").click()
    expect(desk.locator(".chip")).to_have_text(re.compile("vendor:stripe"))
    expect(desk.locator(".row")).to_have_count(1)
    desk.locator(".chip").click()
    expect(desk.locator(".row")).to_have_count(2)
    press(desk, "f")
    dialog = desk.locator("dialog")
    expect(dialog).to_contain_text("Filter by values")
    assert desk.evaluate(RUN, RULES) == []
    dialog.locator(".facet", has_text="fedex").click(modifiers=["Alt"])
    expect(desk.locator("#q")).to_have_value("-vendor:fedex")
    expect(desk.locator(".row .narrows").nth(1)).to_have_text("stripe")


def test_hours_mistakes_and_saved_views_are_fine_to_read_and_stay_where_they_are(
    desk: Page,
) -> None:
    expect(desk.locator(".histogram-plot")).to_be_visible()
    below = desk.locator("#incidents").bounding_box()
    desk.goto("/incidents/?tab=open&q=severity:purple")
    expect(desk.locator(".mistake mark")).to_have_text("p")
    assert desk.evaluate(RUN, RULES) == []
    desk.goto("/incidents/?tab=open")
    desk.get_by_role("link", name="Save this view").click()
    desk.get_by_label("Name").fill("Everything")
    desk.get_by_role("button", name="Save view").click()
    expect(desk.locator(".saved .count")).to_have_text("2")
    assert desk.locator("#incidents").bounding_box() == below  # the panel had its place already
    assert desk.evaluate(RUN, RULES) == []
    desk.goto("/incidents/views/")
    assert desk.evaluate(RUN, RULES) == []
