"""The audit log in a browser: found and taken along without JavaScript."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tenants import journal
from tenants.journal import SYSTEM
from tenants.scoping import bound
from tests.browser.conftest import SignIn
from tests.cast import acting
from tests.factories import VendorFactory
from tests.support.console import World

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def lines(cast: World) -> None:
    vendor = VendorFactory(tenant=cast.acme, name="stripe")
    with bound(cast.acme.pk) as now:
        journal.record(
            vendor, "breaker_forced", by=acting(cast.alice), at=now, before="closed", after="open"
        )
        changes = {"max_in_flight": [10, 20]}
        journal.record(
            vendor, "edited", by=acting(cast.ann), at=now, changes=changes, reason="slow " * 60
        )
        journal.record(vendor, "breaker_opened", by=SYSTEM, at=now)


def test_it_is_filtered_and_taken_along_without_javascript(
    cast: World, sign_in: SignIn, lines: None
) -> None:
    page = sign_in(cast.ann, java_script_enabled=False)
    page.goto("/audit/")
    page.get_by_label("Who").fill(acting(cast.alice).label)
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("tr.row")).to_have_count(1)
    expect(page.get_by_text("closed → open")).to_be_visible()
    with page.expect_download() as started:
        page.get_by_role("button", name="Download as CSV").click()
    sheet = Path(started.value.path()).read_text()
    assert "breaker_forced" in sheet
    assert "edited" not in sheet
