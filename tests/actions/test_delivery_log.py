"""The delivery log: what was told to whom and what they answered, in the console and the API, and telling it again."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from actions.models import Delivery
from tenants import scoping
from tenants.models import Tenant
from tenants.states import Scope
from tests.cast import Api, key_of, signed_in
from tests.factories import ChannelFactory, DeliveryFactory, IncidentFactory

pytestmark = pytest.mark.django_db
FROM_PAGE = {"HX-Request": "true"}


@pytest.fixture
def desk(alice: User) -> Client:
    return signed_in(alice)


def page(client: Client, query: str = "") -> str:
    answer = client.get(f"/deliveries/{query}")
    assert answer.status_code == 200
    return str(answer.content.decode())


def n_deliveries(tenant: Tenant) -> int:
    with scoping.bound(tenant.pk):
        return int(Delivery.objects.for_tenant(tenant).count())


def test_a_row_says_to_whom_of_what_and_what_came_back(desk: Client, acme: Tenant) -> None:
    incident = IncidentFactory(tenant=acme)
    DeliveryFactory(
        tenant=acme,
        channel=ChannelFactory(tenant=acme, name="#payments"),
        incident=incident,
        status="failed",
        attempts_made=3,
        response_status=404,
        response_excerpt="<b>no such hook</b>",
        error="The destination answered 404.",
    )
    shown = page(desk)
    for said in ("#payments", incident.get_absolute_url(), "Failed", "3 tries", "answered 404"):
        assert said in shown
    assert "&lt;b&gt;no such hook" in shown


def test_the_page_costs_the_same_however_much_it_shows(desk: Client, acme: Tenant) -> None:
    costs = []
    for n_rows in (2, 7):
        for _ in range(n_rows):
            DeliveryFactory(tenant=acme, status="failed")
        page(desk)
        with CaptureQueriesContext(connection) as asked:
            page(desk)
        costs.append(len(asked))
    assert costs[0] == costs[1]


def test_it_is_filtered_by_channel_and_status(desk: Client, acme: Tenant) -> None:
    one, other = ChannelFactory(tenant=acme), ChannelFactory(tenant=acme)
    DeliveryFactory(tenant=acme, channel=one, subject="first", status="sent")
    DeliveryFactory(tenant=acme, channel=other, subject="second", status="failed")
    assert "second" not in page(desk, f"?channel={one.pk}")
    assert "first" not in page(desk, "?status=failed")
    assert "No delivery matches" in page(desk, f"?channel={one.pk}&status=failed")
    assert desk.get("/deliveries/?status=lost").status_code == 422


def test_an_empty_log_says_what_to_do(desk: Client, ann: User) -> None:
    assert "Nobody has been told anything yet" in page(desk)
    assert "Add a channel" in page(signed_in(ann))


@pytest.mark.parametrize("status", ["sent", "failed", "grouped"])
def test_what_is_done_with_can_be_sent_again(desk: Client, acme: Tenant, status: str) -> None:
    delivery = DeliveryFactory(tenant=acme, status=status)
    plain = desk.post(f"/deliveries/{delivery.pk}/resend/", {"next": "/deliveries/?status=failed"})
    assert (plain.status_code, plain["Location"]) == (302, "/deliveries/?status=failed")
    assert n_deliveries(acme) == 2
    live = desk.post(f"/deliveries/{delivery.pk}/resend/", headers=FROM_PAGE)
    assert live.status_code == 200  # the second click changes nothing
    assert n_deliveries(acme) == 2


def test_what_is_on_its_way_is_not_sent_again(desk: Client, acme: Tenant) -> None:
    delivery = DeliveryFactory(tenant=acme, status="pending")
    answer = desk.post(f"/deliveries/{delivery.pk}/resend/", headers=FROM_PAGE)
    assert answer.status_code == 409
    assert n_deliveries(acme) == 1


def test_a_viewer_sees_the_log_and_no_button(acme: Tenant, bob: User) -> None:
    delivery = DeliveryFactory(tenant=acme, status="failed")
    assert "Re-send" not in page(signed_in(bob))
    assert signed_in(bob).post(f"/deliveries/{delivery.pk}/resend/").status_code == 403


def test_an_outsider_finds_nothing(acme: Tenant, mallory: User) -> None:
    delivery = DeliveryFactory(tenant=acme, subject="Acme alone", status="failed")
    assert "Acme alone" not in page(signed_in(mallory))
    assert signed_in(mallory).post(f"/deliveries/{delivery.pk}/resend/").status_code == 404


def test_the_api_lists_and_sends_again(acme: Tenant) -> None:
    delivery = DeliveryFactory(tenant=acme, status="failed", error="The destination answered 500.")
    DeliveryFactory(tenant=acme, status="sent")
    api = Api(key_of(acme, Scope.READ, Scope.OPERATE))
    found = api.get("/api/v1/deliveries?status=failed").json()
    assert [row["id"] for row in found["results"]] == [str(delivery.pk)]
    assert found["results"][0]["error"] == "The destination answered 500."

    tried = api.post(f"/api/v1/deliveries/{delivery.pk}/resend?dry_run=true")
    assert (tried.status_code, tried.json()["dry_run"]) == (200, True)
    assert n_deliveries(acme) == 2
    again = api.post(f"/api/v1/deliveries/{delivery.pk}/resend")
    assert (again.status_code, again.json()["status"]) == (201, "pending")
    refused = api.post(f"/api/v1/deliveries/{again.json()['id']}/resend")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


def test_an_unknown_filter_of_the_api_is_refused(acme: Tenant) -> None:
    api = Api(key_of(acme, Scope.READ))
    assert api.get("/api/v1/deliveries?status=lost").status_code == 422
    assert api.get("/api/v1/deliveries?colour=red").status_code == 422
