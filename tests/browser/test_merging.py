"""Merging in the dialog and without JavaScript; axe has nothing to say about either."""

import pytest
from playwright.sync_api import Page, expect

from incidents.models import Incident
from tests.browser.axe import is_fine, options
from tests.browser.conftest import AXE, SignIn
from tests.support.console import World, incident_of, report

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def target(cast: World) -> Incident:
    """INC-1, beside an INC-2 that can be merged into it."""
    report(cast.acme, runs=["run-1", "run-2"])
    report(cast.acme, error_code="card_declined", error_message="No money", runs=["run-3"])
    return incident_of(cast.acme, number=1)


def test_a_dialog_merges_and_a_button_splits(
    cast: World, sign_in: SignIn, target: Incident
) -> None:
    page = sign_in(cast.alice, **options("wide"))
    page.add_init_script(path=AXE)
    page.goto(target.get_absolute_url())
    page.get_by_role("link", name="Merge others into this").click()
    _merge(page, "INC-9")
    expect(page.locator("dialog")).to_contain_text("There is no INC-9.")
    is_fine(page)
    _merge(page, "INC-2")
    expect(page.locator("#toasts")).to_contain_text("Merged INC-2 into INC-1")
    page.locator("summary[data-verb=split]").click()
    is_fine(page)
    page.get_by_role("link", name="No money").click()
    expect(page.locator(".notice")).to_contain_text("Merged into INC-1")


def test_merge_and_split_without_javascript(cast: World, sign_in: SignIn, target: Incident) -> None:
    page = sign_in(cast.alice, java_script_enabled=False)
    page.goto(target.get_absolute_url())
    page.get_by_role("link", name="Merge others into this").click()
    _merge(page, "2")
    expect(page.locator("body")).to_contain_text("INC-2 · 1 event here")
    page.locator("summary[data-verb=split]").click()
    page.get_by_role("button", name="Split INC-2 off").click()
    expect(page.locator(".toast")).to_contain_text("Split INC-2 from INC-1")


def _merge(page: Page, numbers: str) -> None:
    page.get_by_label("Which incidents?").fill(numbers)
    page.get_by_role("button", name="Merge into INC-1").click()
