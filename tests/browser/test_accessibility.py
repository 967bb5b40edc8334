"""axe finds nothing to say about any page, in both themes and widths; nothing scrolls sideways."""

from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from incidents.models import Run
from safety import breaker
from tenants import scoping
from tenants.journal import SYSTEM
from tenants.models import Vendor
from tests.browser.conftest import AXE, SignIn
from tests.support.console import World, incident_of, report, workflow_with_retries

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OF_COLOURS = ["color-contrast"]  # all that another theme can change
RUN = """(rules) => axe.run({runOnly: rules, resultTypes: ['violations']}).then(found => found.violations.map(
  one => one.id + ': ' + one.nodes.map(node => node.target.join(' ')).slice(0, 5).join(', ')))"""
WIDTHS = {"wide": 1440, "narrow": 390}


@pytest.fixture
def busy(cast: World) -> str:
    """Acme with a resolved, an escalated and a recovering incident, and a kill switch; its url."""
    workflow_with_retries(cast.acme, "receipts")
    report(cast.acme, runs=["run-1", "run-2"], vendor="stripe", error_code="")
    report(cast.acme, workflow="receipts", vendor="sendgrid", runs=["mail-1"])
    report(cast.acme, workflow="shipping", error_code="boom", runs=["ship-1"])
    report(cast.acme, workflow="shipping", status="completed", runs=["ship-1"])
    return incident_of(cast.acme, workflow__slug="receipts").get_absolute_url()


def _options(width: str) -> dict[str, Any]:
    return {"viewport": {"width": WIDTHS[width], "height": 844}, "color_scheme": "light"}


def _is_fine(page: Page) -> None:
    """In light, then in dark, on the page as it stands."""
    assert page.evaluate(RUN, RULES) == [], page.url
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(RUN, OF_COLOURS) == [], f"{page.url} in dark"
    page.emulate_media(color_scheme="light")
    excess = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert excess <= 0, f"{page.url} scrolls sideways by {excess} px"


@pytest.fixture
def hurt(cast: World, busy: str) -> str:
    """A run that was hurt in that world, and is left; its url."""
    with scoping.bound(cast.acme.pk):
        run = Run.objects.for_tenant(cast.acme).get(run_id="run-1")
        return reverse("runs:detail", args=[run.pk])


@pytest.fixture
def vendor(cast: World, busy: str) -> str:
    """A vendor of that world whose breaker a person holds; its url."""
    with scoping.bound(cast.acme.pk) as now:
        found = Vendor.objects.for_tenant(cast.acme).get(name="stripe")
        breaker.force(
            found, mode="forced_open", reason="their outage", until=None, by=SYSTEM, now=now
        )
        return reverse("vendors:detail", args=[found.pk])


@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing(
    cast: World, sign_in: SignIn, busy: str, hurt: str, vendor: str, width: str
) -> None:
    page = sign_in(cast.ann, **_options(width))
    page.add_init_script(path=AXE)
    for path in (
        "/incidents/",
        "/incidents/?tab=open",
        "/incidents/?tab=resolved",
        "/incidents/?q=nothing",
        busy,
        f"{busy}?span=7d",
        "/runs/",
        "/runs/?state=waived",
        hurt,
        "/safety/",
        "/vendors/",
        vendor,
        "/kill-switches/",
        "/kill-switches/stop/",
        "/tenant/",
        "/nowhere/",
    ):
        page.goto(path)
        _is_fine(page)


@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing_in_what_opens(
    cast: World, sign_in: SignIn, busy: str, width: str
) -> None:
    page = sign_in(cast.alice, **_options(width))
    page.add_init_script(path=AXE)
    page.goto(busy)
    page.locator("summary[data-verb=resolve]").click()
    _is_fine(page)
    panel = page.locator("details[open] .menu-panel").bounding_box()
    assert panel is not None
    assert panel["x"] >= 0
    assert panel["x"] + panel["width"] <= WIDTHS[width]
    page.keyboard.press("Escape")
    page.locator("[data-stop]").click()
    page.locator("dialog textarea").fill("double posting")
    _is_fine(page)
    page.get_by_role("button", name="Stop now").click()
    expect(page.locator(".toast")).to_be_visible()
    _is_fine(page)
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_be_visible()
    _is_fine(page)
    page.locator("dialog [data-close]").click()
    if width == "narrow":
        page.get_by_role("link", name="Menu").click()
        _is_fine(page)


@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing_before_signing_in(sign_in: SignIn, width: str) -> None:
    page = sign_in(None, **_options(width))
    page.add_init_script(path=AXE)
    page.goto("/sign-in/")
    _is_fine(page)
    page.get_by_label("Username").fill("alice")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    _is_fine(page)


def test_axe_would_find_something(sign_in: SignIn) -> None:
    page = sign_in(None)
    page.add_init_script(path=AXE)
    page.goto("/sign-in/")
    page.evaluate("document.querySelector('main').append(document.createElement('img'))")
    assert any(found.startswith("image-alt") for found in page.evaluate(RUN, RULES))


def test_nothing_scrolls_sideways_at_320_px(
    cast: World, sign_in: SignIn, busy: str, hurt: str, vendor: str
) -> None:
    page = sign_in(cast.alice, viewport={"width": 320, "height": 640})
    report(cast.acme, runs=["run-" + "x" * 190])  # as long as ids may be
    for path in (
        "/incidents/?tab=open",
        busy,
        "/runs/",
        hurt,
        "/safety/",
        "/vendors/",
        vendor,
        "/kill-switches/",
        "/kill-switches/stop/",
    ):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path


@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing_at_the_door_of_the_administration(sign_in: SignIn, width: str) -> None:
    page = sign_in(None, **_options(width))
    page.add_init_script(path=AXE)
    page.goto("/admin/login/")
    _is_fine(page)
