"""Settings in a browser: the second step is set up and used without JavaScript."""

import time

import pytest
from allauth.mfa.totp.internal import auth as totp
from playwright.sync_api import Page, expect

from tests.browser.conftest import SignIn
from tests.support.console import World

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

PASSWORD = "correct horse battery staple"
PAGES = (
    "/settings/",
    "/settings/password/",
    "/settings/second-step/",
    "/settings/second-step/app/",  # asks for the password first
    "/settings/sessions/",
    "/settings/members/",
    "/settings/keys/",
)


def test_the_second_step_is_set_up_and_used_without_javascript(
    cast: World, sign_in: SignIn
) -> None:
    cast.alice.set_password(PASSWORD)
    cast.alice.save()
    page = sign_in(None, java_script_enabled=False)
    _enter(page)
    page.goto("/settings/second-step/")
    page.get_by_role("link", name="Set it up").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("img", name="Code to scan")).to_be_visible()
    secret = page.locator("code.secret").inner_text()
    page.get_by_label("Code", exact=True).fill(_code(secret))
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_text("10 of 10 left")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    _enter(page)
    page.get_by_label("Code", exact=True).fill(_code(secret, ahead=1))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview", exact=True)).to_be_visible()


def _enter(page: Page) -> None:
    page.goto("/sign-in/")
    page.get_by_label("Username or e-mail").fill("alice")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def _code(secret: str, *, ahead: int = 0) -> str:
    counter = int(time.time()) // 30 + ahead
    return str(totp.format_hotp_value(totp.hotp_value(secret, counter)))
