"""Rules in a browser: found by keyboard, changed and reverted without JavaScript."""

import pytest
from playwright.sync_api import Page, expect

from tests.admin.pages import override
from tests.browser.conftest import SignIn, press
from tests.support.console import World

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]
ASKED = "/rules/?vendor=stripe&error_code=payment_timeout"


def _stripe(cast: World) -> None:
    for most in (3, 7):
        override(cast.acme, target="stripe", retry__max_retries=most)


def test_a_value_is_changed_and_taken_back_without_javascript(cast: World, sign_in: SignIn) -> None:
    page = sign_in(cast.ann, java_script_enabled=False)
    page.goto("/rules/")
    page.get_by_label("Vendor").fill("stripe")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("link", name="vendor stripe").click()
    _change(page, "retry.max_retries", "7")
    expect(page.locator(".toast")).to_contain_text("Version 1 for vendor stripe is in force")
    _change(page, "retry.max_retries", "many")
    expect(page.get_by_text("must be a whole number")).to_be_visible()
    page.get_by_role("button", name="Revert version 1").click()
    expect(page.locator("#version-2")).to_contain_text("retry.max_retries: 7 → –")


def test_rules_are_two_keys_away(cast: World, sign_in: SignIn) -> None:
    page = sign_in(cast.bob)
    page.goto("/incidents/")
    press(page, "g")
    press(page, "u")
    expect(page.get_by_role("heading", name="Rules", exact=True)).to_be_visible()


def _change(page: Page, key: str, value: str) -> None:
    page.get_by_label("Value", exact=True).select_option(key)
    page.get_by_label("Set to").fill(value)
    page.get_by_label("Why?").fill("they are slow today")
    page.get_by_role("button", name="Save version").click()
