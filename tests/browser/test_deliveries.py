"""The delivery log in a browser: it re-sends without JavaScript."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SignIn
from tests.factories import ChannelFactory, DeliveryFactory, IncidentFactory
from tests.support.console import World

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def log(cast: World) -> None:
    """One delivery in every state, to a channel and to a person."""
    channel = ChannelFactory(tenant=cast.acme, name="#payments")
    incident = IncidentFactory(tenant=cast.acme, title="Payment failed at the very last step")
    about = {"tenant": cast.acme, "channel": channel, "incident": incident, "attempts_made": 2}
    DeliveryFactory(**about, status="sent", response_status=200, response_excerpt="ok")
    DeliveryFactory(**about, status="grouped")
    DeliveryFactory(**about, status="failed", error="The destination answered 404.")
    DeliveryFactory(**about, status="pending", error="The destination answered 503.")
    DeliveryFactory(tenant=cast.acme, channel=None, user=cast.alice, status="sent")


def test_it_is_sent_again_without_javascript(cast: World, sign_in: SignIn, log: None) -> None:
    page = sign_in(cast.alice, java_script_enabled=False)
    page.goto("/deliveries/?status=failed")
    page.get_by_role("button", name="Re-send").click()
    assert page.url.endswith("/deliveries/?status=failed")
    expect(page.get_by_text("It is sent again.")).to_be_visible()
    page.goto("/deliveries/?status=pending")
    expect(page.locator("tr.row")).to_have_count(2)
