"""The overview refreshes what is counted, moves nothing, and is left by key."""

import pytest
from playwright.sync_api import expect

from incidents.models import Incident
from tenants import scoping
from tests.browser.conftest import SignIn, press
from tests.support.console import World, report

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


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
    expect(page.locator("#needs")).to_contain_text("0 of 3 failed runs")
    assert page.locator("#needs ~ section .row").evaluate_all(ids) == rows
    press(page, "g")
    press(page, "w")
    expect(page.locator("h1")).to_have_text("Workflows")
