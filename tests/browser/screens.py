"""The only place that says which pages are pictured: `make screens` writes docs/screens, from a stack of its own.

python -m tests.browser.screens [--at http://127.0.0.1:8000 --password …] [--only NAME …]
"""

import argparse
import base64
import hmac
import os
import struct
import time

import django
from playwright.sync_api import Browser, Page, Route, sync_playwright

from tests.browser import refusals, screen_stack
from tests.browser.camera import CHROMIUM, SCREENS, Prepare, Screen, take
from tests.browser.screen_stack import Stack

OUTAGE_SECONDS = 180
ENOUGH_INCIDENTS = 9
WAITING = "/incidents/?tab=open&q=workflow:supplier-payout"  # for a yes or a no


def press(*keys: str) -> Prepare:
    def pressed(page: Page, _stack: Stack) -> None:
        for key in keys:
            page.keyboard.press(key)

    return pressed


def open_by(*keys: str) -> Prepare:
    """The dialog that these keys open, once it is there."""

    def opened(page: Page, stack: Stack) -> None:
        press(*keys)(page, stack)
        page.locator("dialog[open]").wait_for()

    return opened


def follow(link: str) -> Prepare:
    """Goes where a link of the page goes, dialog or not."""

    def followed(page: Page, _stack: Stack) -> None:
        page.goto(page.locator(link).first.get_attribute("href") or "")

    return followed


def simulate(page: Page, _stack: Stack) -> None:
    """A change of a rule, tried on what happened."""
    page.locator("[name=key]").select_option("retry.max_retries")
    page.locator("[name=value]").fill("0")
    page.locator("button", has_text="Simulate").click()
    page.locator("#h-assumed").wait_for()


def as_an_admin(page: Page, _stack: Stack) -> None:
    """The same page for who may make a key: it is filled in."""
    screen_stack.promote("mallory")
    page.reload()
    page.get_by_text("Your key is filled in below.").wait_for()


def ask_for_a_code(page: Page, stack: Stack) -> None:
    """Somebody with an authenticator app signs in."""
    if page.locator("[name=password]").count():  # it asks again who that is
        _answer(page, "password", stack.password)
    secret = page.locator(".secret")
    if secret.count():
        _answer(page, "code", _code(secret.inner_text()))
    page.context.clear_cookies()
    _sign_in(page, "bob", stack.password)


def _answer(page: Page, field: str, value: str) -> None:
    page.locator(f"[name={field}]").fill(value)
    with page.expect_navigation():
        page.locator("main form button").last.click()


def _code(secret: str) -> str:
    """As an authenticator app works it out."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, struct.pack(">Q", int(time.time()) // 30), "sha1")
    at = digest[-1] & 15
    (number,) = struct.unpack(">I", digest[at : at + 4])
    return f"{(number & 0x7FFFFFFF) % 1_000_000:06}"


SCREENS_OF = (
    Screen("overview", "/overview/"),
    Screen("incidents", "/incidents/?tab=open"),
    Screen("incidents-needing-attention", "/incidents/"),
    Screen("incidents-selected", "/incidents/?tab=open", then=press("x", "J", "J")),
    Screen("incidents-filter", "/incidents/?tab=open", then=open_by("f")),
    Screen("incidents-mistake", "/incidents/?q=severity:>=huge"),
    Screen("incidents-filtered-empty", "/incidents/?tab=open&q=vendor:nobody"),
    Screen("incidents-resolved", "/incidents/?tab=resolved"),
    Screen("first-event", "/incidents/", who="mallory"),
    Screen("first-event-admin", "/incidents/", who="mallory", then=as_an_admin),
    Screen("incident", "", first_of="/incidents/?tab=open&q=events:>3"),
    Screen("incident-needs-approval", "", first_of=WAITING),
    Screen("post-mortem", "", first_of=WAITING, then=follow("a[href$='/post-mortem/']")),
    Screen("palette", "/incidents/?tab=open", then=open_by("Control+k")),
    Screen("keyboard", "/incidents/?tab=open", then=open_by("?")),
    Screen("stop", "/overview/", then=open_by("!")),
    Screen("snooze", "/incidents/?tab=open", then=open_by("s", "6")),
    Screen("runs", "/runs/"),
    Screen("run", "", first_of="/runs/"),
    Screen("workflows", "/workflows/"),
    Screen("workflow", "", first_of="/workflows/"),
    Screen("events", "/events/"),
    Screen("event", "", first_of="/events/"),
    Screen("quarantine", "/quarantine/"),
    Screen("actions", "/actions/"),
    Screen("action", "", first_of="/actions/?tab=all"),
    Screen("approvals", "/approvals/"),
    Screen("approval", "", first_of="/approvals/"),
    Screen("deliveries", "/deliveries/"),
    Screen("campaigns", "/campaigns/"),
    Screen("campaign-plan", "", first_of=WAITING, then=follow("a[href*='/campaigns/plan']")),
    Screen("inbox", "/inbox/"),
    Screen("analytics", "/analytics/"),
    Screen("safety", "/safety/"),
    Screen("vendors", "/vendors/"),
    Screen("vendor", "", first_of="/vendors/"),
    Screen("kill-switches", "/kill-switches/"),
    Screen("rules", "/rules/"),
    Screen("rule", "/rules/tenant/"),
    Screen("simulation", "/rules/vendor/acquirer/", then=simulate),
    Screen("audit", "/audit/"),
    Screen("settings", "/settings/"),
    Screen("members", "/settings/members/"),
    Screen("keys", "/settings/keys/"),
    Screen("sessions", "/settings/sessions/"),
    Screen("second-step", "/settings/second-step/"),
    Screen("help", "/help/"),
    Screen("help-keyboard", "/help/keyboard/"),
    Screen("styleguide", "/styleguide/", who="admin"),
    Screen("sign-in", "/sign-in/", who=""),
    Screen("sign-in-code", "/settings/second-step/app/", who="bob", then=ask_for_a_code),
    Screen("join", "/join/nothing/", who=""),
    Screen("forgotten", "/password/forgotten/", who=""),
    Screen("not-found", "/nowhere/"),
    Screen("not-allowed", "/refused/forbidden/"),
    Screen("changed-meanwhile", "/refused/conflict/"),
    Screen("too-many-requests", "/refused/rate_limited/"),
    Screen("error", "/refused/internal_error/"),
    Screen("unavailable", "/refused/unavailable/"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at", help="a stack that runs already, instead of one of its own")
    parser.add_argument("--password", default="")
    parser.add_argument("--only", nargs="*", default=[])
    asked = parser.parse_args()
    SCREENS.mkdir(parents=True, exist_ok=True)
    if asked.at:
        _take_all(Stack(asked.at, asked.password), asked.only)
        return
    with screen_stack.running() as stack:
        _take_all(stack, asked.only)


def _take_all(stack: Stack, only: list[str]) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "awfdrs_site.settings")
    django.setup()
    wanted = [screen for screen in SCREENS_OF if not only or screen.name in only]
    with sync_playwright() as running:
        # As on the screens that people have: letters stand where they belong, not on whole pixels.
        switches = ["--no-sandbox", "--font-render-hinting=none"]
        browser = running.chromium.launch(executable_path=CHROMIUM, args=switches)
        quantiser = browser.new_page()
        for who in dict.fromkeys(screen.who for screen in wanted):
            page = _visit(browser, who, stack)
            for screen in wanted:
                if screen.who == who:
                    take(page, screen, stack, quantiser)
        browser.close()
    pictures = list(SCREENS.glob("*.png"))
    size = sum(picture.stat().st_size for picture in pictures)
    print(f"{len(pictures)} pictures, {size / 1024 / 1024:.1f} MB")


def _visit(browser: Browser, who: str, stack: Stack) -> Page:
    context = browser.new_context(base_url=stack.address)
    context.set_default_timeout(60_000)
    page = context.new_page()
    refusals.show(page)
    page.route("**/console.css", _with_typeface)
    if who:
        _sign_in(page, who, stack.password)
    if who == "ann":
        _wait_for_incidents(page)
        _look_after_some(page)
    return page


def _with_typeface(route: Route) -> None:
    """A reader in a hurry gets another typeface than a picture may have."""
    answer = route.fetch()
    css = answer.text().replace("font-display: optional", "font-display: block")
    route.fulfill(response=answer, body=css)


def _sign_in(page: Page, who: str, password: str) -> None:
    page.goto("/sign-in/")
    page.locator("[name=login], [name=username]").fill(who)
    _answer(page, "password", password)


def _wait_for_incidents(page: Page) -> None:
    """The simulated outage takes a minute to show what the product does."""
    give_up_at = time.monotonic() + OUTAGE_SECONDS
    while time.monotonic() < give_up_at:
        page.goto("/incidents/?tab=open")
        if page.locator(".row").count() >= ENOUGH_INCIDENTS:
            return
        page.wait_for_timeout(2000)


def _look_after_some(page: Page) -> None:
    """As on any morning: one is somebody's, one was seen, one sleeps."""
    for workflow, keys in (
        ("receipts.email", "ii"),
        ("billing.invoice", "a"),
        ("catalog.import", "s3"),
    ):
        page.goto(f"/incidents/?tab=open&q=workflow:{workflow}")
        if page.locator(".row").count():
            for key in keys:
                page.keyboard.press(key)
            page.locator(".toast").first.wait_for()


if __name__ == "__main__":
    main()
