"""The overview, workflows, analytics and help as people see them: for everybody, at any width, and by key."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from incidents.models import Incident
from tenants import scoping
from tests.browser.conftest import AXE, SignIn
from tests.browser.test_accessibility import OF_COLOURS, RULES, RUN, WIDTHS
from tests.support.console import World, report, workflow_with_retries

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


def _is_fine(page: Page) -> None:
    assert page.evaluate(RUN, RULES) == [], page.url
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(RUN, OF_COLOURS) == [], f"{page.url} in dark"
    page.emulate_media(color_scheme="light")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, page.url


@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing_on_pages_to_look_over(cast: World, sign_in: SignIn, width: str) -> None:
    workflow_id = workflow_with_retries(cast.acme, "receipts")
    report(cast.acme, workflow="receipts", vendor="sendgrid", runs=["mail-1", "mail-2"])
    report(cast.acme, workflow="shipping", error_code="boom", runs=["ship-1"])
    report(cast.acme, workflow="shipping", status="completed", runs=["ship-1"])
    options: dict[str, Any] = {"viewport": {"width": WIDTHS[width], "height": 844}}
    page = sign_in(cast.ann, color_scheme="light", **options)
    page.add_init_script(path=AXE)
    for path in (
        "/overview/",
        "/workflows/",
        f"/workflows/{workflow_id}/",
        "/analytics/",
        "/help/queries/",
        "/problems/validation_failed",
    ):
        page.goto(path)
        _is_fine(page)


def test_the_overview_refreshes_what_is_counted_and_leaves_its_incidents_where_they_are(
    cast: World, sign_in: SignIn
) -> None:
    report(cast.acme, runs=["run-1"])
    page = sign_in(cast.alice)
    page.goto("/")
    ids = "rows => rows.map(row => row.id)"
    rows = page.locator("#needs ~ section .row").evaluate_all(ids)
    assert len(rows) == 1
    report(cast.acme, workflow="receipts", error_code="boom", runs=["run-2", "run-3"])
    with scoping.bound(cast.acme.pk):
        Incident.objects.for_tenant(cast.acme).update(severity="critical")
    page.evaluate("document.body.dispatchEvent(new CustomEvent('live:killswitch'))")
    expect(page.locator("#needs")).to_contain_text("0 of 3 runs")
    assert page.locator("#needs ~ section .row").evaluate_all(ids) == rows
    page.keyboard.press("g")
    page.keyboard.press("w")
    expect(page.locator("h1")).to_have_text("Workflows")
