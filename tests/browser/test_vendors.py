"""Vendors in a browser: reached by keyboard, true without a reload, a breaker held without losing what was typed."""

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from safety import breaker
from tenants import scoping
from tenants.journal import SYSTEM
from tenants.models import Vendor
from tests.browser.conftest import SignIn, press
from tests.support.console import World

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def stripe(cast: World) -> Vendor:
    with scoping.bound(cast.acme.pk):
        made: Vendor = Vendor.objects.create(tenant=cast.acme, name="stripe")
        return made


def test_an_admin_goes_there_by_keyboard_and_holds_a_breaker(
    cast: World, sign_in: SignIn, stripe: Vendor
) -> None:
    page = sign_in(cast.ann)
    page.goto("/incidents/")
    for key in ("g", "v"):
        press(page, key)
    expect(page.locator("h1")).to_have_text("Vendors")
    press(page, "j")
    press(page, "Enter")
    expect(page.locator("#vendor h1")).to_have_text("stripe")
    page.get_by_label("Why?").fill("their outage")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#vendor .step-human")).to_contain_text("Held open")
    expect(page.get_by_label("What should it do?")).to_have_value("auto")


def test_what_is_typed_stays_when_the_page_renews_itself(
    cast: World, sign_in: SignIn, stripe: Vendor
) -> None:
    page = sign_in(cast.ann)
    page.goto(reverse("vendors:detail", args=[stripe.pk]))
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    page.get_by_label("Why?").fill("half a sentence")
    with scoping.bound(cast.acme.pk) as now:
        breaker.force(stripe, mode="shadow", reason="trial", until=None, by=SYSTEM, now=now)
    expect(page.locator("#vendor .step-human")).to_contain_text("Watching only")
    expect(page.get_by_label("Why?")).to_have_value("half a sentence")
