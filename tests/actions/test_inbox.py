"""The inbox: what a person was told, their own alone, read one by one or all at once."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from actions.models import Delivery
from tenants import scoping
from tenants.models import Tenant
from tests.cast import signed_in
from tests.factories import DeliveryFactory, IncidentFactory

pytestmark = pytest.mark.django_db
FROM_PAGE = {"HX-Request": "true"}


def message(tenant: Tenant, user: User, subject: str = "INC-1 high: Down", **fields: Any) -> Any:
    return DeliveryFactory(tenant=tenant, channel=None, user=user, subject=subject, **fields)


def unread(tenant: Tenant, user: User) -> list[str]:
    with scoping.bound(tenant.pk):
        mine = Delivery.objects.for_tenant(tenant).filter(user=user, read_at=None)
        return list(mine.order_by("id").values_list("subject", flat=True))


def page(client: Client, query: str = "") -> str:
    answer = client.get(f"/inbox/{query}")
    assert answer.status_code == 200
    return str(answer.content.decode())


@pytest.fixture
def desk(alice: User) -> Client:
    return signed_in(alice)


def test_it_shows_my_messages_and_nobody_elses(
    desk: Client, acme: Tenant, alice: User, ann: User
) -> None:
    incident = IncidentFactory(tenant=acme)
    message(acme, alice, "INC-1 high: mine", incident=incident, text="INC-1\n\nAll failed.")
    message(acme, ann, "INC-2 high: hers")
    DeliveryFactory(tenant=acme, subject="INC-3 high: a channel's")
    shown = page(desk)
    assert "INC-1 high: mine" in shown
    assert "All failed." in shown
    assert incident.get_absolute_url() in shown
    assert "hers" not in shown
    assert "a channel&#x27;s" not in shown


def test_an_empty_inbox_says_what_comes_there(desk: Client) -> None:
    assert "Nobody has told you anything yet" in page(desk)
    assert "You have read everything" in page(desk, "?tab=unread")


def test_every_page_says_how_many_are_unread(desk: Client, acme: Tenant, alice: User) -> None:
    assert "unread messages" not in desk.get("/incidents/").content.decode()
    message(acme, alice)
    assert '1<span class="unseen"> unread messages' in desk.get("/incidents/").content.decode()


def test_one_is_read(desk: Client, acme: Tenant, alice: User) -> None:
    first, _ = message(acme, alice, "first"), message(acme, alice, "second")
    answer = desk.post(f"/inbox/{first.pk}/read/?tab=unread", headers=FROM_PAGE)
    assert answer.status_code == 200
    assert "first" not in answer.content.decode()
    assert unread(acme, alice) == ["second"]
    # once more changes nothing
    with scoping.bound(acme.pk):
        first.refresh_from_db()
    desk.post(f"/inbox/{first.pk}/read/", headers=FROM_PAGE)
    with scoping.bound(acme.pk):
        again = Delivery.objects.for_tenant(acme).get(pk=first.pk)
    assert again.read_at == first.read_at


def test_all_are_read_but_what_came_since_the_page(
    desk: Client, acme: Tenant, alice: User, ann: User
) -> None:
    message(acme, alice, "first")
    newest = message(acme, alice, "second")
    message(acme, ann, "hers")
    assert f'name="until" value="{newest.pk}"' in page(desk)
    message(acme, alice, "late")
    answer = desk.post("/inbox/read/", {"until": newest.pk}, follow=True)
    assert answer.redirect_chain == [("/inbox/", 302)]
    assert (unread(acme, alice), unread(acme, ann)) == (["late"], ["hers"])


def test_without_javascript_it_goes_back_to_the_page(
    desk: Client, acme: Tenant, alice: User
) -> None:
    told = message(acme, alice)
    back = {"next": "/inbox/?tab=unread&page=1"}
    answer = desk.post(f"/inbox/{told.pk}/read/", back)
    assert (answer.status_code, answer["Location"]) == (302, "/inbox/?tab=unread&page=1")


def test_nobody_reads_anothers_message(desk: Client, acme: Tenant, ann: User) -> None:
    told = message(acme, ann)
    assert desk.post(f"/inbox/{told.pk}/read/").status_code == 404
    assert unread(acme, ann) == [told.subject]


def test_one_of_another_tenant_is_not_there(
    globex: Tenant, acme: Tenant, mallory: User, desk: Client, alice: User
) -> None:
    told = message(acme, alice)
    assert signed_in(mallory).post(f"/inbox/{told.pk}/read/").status_code == 404
    message(globex, alice, "of Globex")
    assert "of Globex" not in page(desk)


@pytest.mark.parametrize("query", ["?page=x", "?page=0", "?tab=secret", "?page=99999999999"])
def test_a_wrong_filter_is_said(desk: Client, query: str) -> None:
    assert desk.get(f"/inbox/{query}").status_code == 422


def test_a_viewer_has_an_inbox_too(bob: User, acme: Tenant) -> None:
    message(acme, bob, "to bob")
    assert "to bob" in page(signed_in(bob))


def test_older_ones_are_on_the_next_page(desk: Client, acme: Tenant, alice: User) -> None:
    with scoping.bound(acme.pk):
        for n in range(51):
            told = DeliveryFactory.build(
                tenant=acme, channel=None, incident=None, user=alice, subject=f"number {n:02}"
            )
            told.save()
    assert "number 00" not in page(desk)
    assert "number 00" in page(desk, "?page=2")
