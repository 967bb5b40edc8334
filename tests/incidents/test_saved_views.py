"""Views that people keep: their own or shared, named, ordered, changed by whom they belong to."""

import re

import pytest
from django.contrib.auth.models import User

from incidents import saving
from incidents.models import SavedView
from incidents.saving import Asked, ViewRefused
from tenants.models import Tenant
from tenants.scoping import bound
from tests.cast import acting, journal_of, signed_in
from tests.factories import IncidentFactory, SavedViewFactory

pytestmark = pytest.mark.django_db


def views(tenant: Tenant) -> list[tuple[str, str, bool]]:
    with bound(tenant.pk):
        mine = SavedView.objects.for_tenant(tenant).order_by("position", "id")
        return list(mine.values_list("name", "query", "is_shared"))


def names_beside_the_list(user: User) -> list[str]:
    text = signed_in(user).get("/incidents/").content.decode()
    section = text[text.index('id="side-saved"') : text.index('id="side-safety"')]
    return re.findall(r'<span>([^<]+)</span><span class="count" id="saved-', section)


def test_a_view_is_saved_with_its_whole_address_and_stands_beside_the_list(
    acme: Tenant, alice: User
) -> None:
    client = signed_in(alice)
    asked = {"tab": "open", "q": "severity:>=high vendor:stripe", "ordering": "-severity"}
    form = client.get("/incidents/views/save/", asked).content.decode()
    assert 'value="severity:&gt;=high vendor:stripe"' in form
    answer = client.post("/incidents/views/save/", {"name": "Stripe, loud", **asked})
    address = "/incidents/?tab=open&q=severity%3A%3E%3Dhigh+vendor%3Astripe&ordering=-severity"
    assert answer["Location"] == address
    assert views(acme) == [("Stripe, loud", asked["q"], False)]
    assert journal_of(acme)[-1] == "view_saved"
    text = client.get(address).content.decode()
    assert re.search(r'aria-current="page"><svg[^>]+>.*?</svg><span>Stripe, loud</span>', text)


def test_its_count_comes_with_the_panel(acme: Tenant, alice: User) -> None:
    IncidentFactory(tenant=acme, severity="critical")
    view = SavedViewFactory(tenant=acme, owner=alice, query="severity:critical")
    stale = SavedViewFactory(tenant=acme, owner=alice, query="severity:purple")
    panel = signed_in(alice).get("/incidents/volume/", headers={"HX-Request": "true"})
    text = panel.content.decode()
    assert f'id="saved-{view.pk}" hx-swap-oob="true">1<' in text
    assert f'id="saved-{stale.pk}" hx-swap-oob="true"><' in text  # it means nothing any more


def test_others_see_what_is_shared_and_no_more(
    acme: Tenant, alice: User, ann: User, bob: User, mallory: User
) -> None:
    SavedViewFactory(tenant=acme, owner=alice, name="Alice's own")
    shared = SavedViewFactory(tenant=acme, owner=alice, name="For all", is_shared=True)
    SavedViewFactory(tenant=acme, owner=bob, name="Bob's own")
    assert names_beside_the_list(alice) == ["Alice's own".replace("'", "&#x27;"), "For all"]
    assert names_beside_the_list(bob) == ["Bob&#x27;s own", "For all"]
    assert names_beside_the_list(mallory) == []
    change = f"/incidents/views/{shared.pk}/change/"
    assert signed_in(mallory).post(change, {"name": "x"}).status_code == 404
    assert signed_in(bob).post(change, {"name": "x"}).status_code == 403
    assert signed_in(ann).post(change, {"name": "For us"}).status_code == 302
    assert ("For us", "severity:>=high", False) in views(acme)


def test_who_only_looks_keeps_views_but_shares_none(acme: Tenant, bob: User) -> None:
    client = signed_in(bob)
    assert "is_shared" not in client.get("/incidents/views/save/").content.decode()
    client.post("/incidents/views/save/", {"name": "Mine", "q": "is:open", "is_shared": "on"})
    assert views(acme) == [("Mine", "is:open", False)]


def test_views_are_renamed_moved_and_deleted(acme: Tenant, alice: User) -> None:
    one, two = (
        SavedViewFactory(tenant=acme, owner=alice, name=n, position=p)
        for n, p in (("one", 0), ("two", 1))
    )
    client = signed_in(alice)
    client.post(f"/incidents/views/{two.pk}/move/", {"to": "up"})
    assert [name for name, *_ in views(acme)] == ["two", "one"]
    client.post(f"/incidents/views/{two.pk}/move/", {"to": "up"})  # it is the first already
    taken = client.post(
        f"/incidents/views/{two.pk}/change/", {"name": "one"}, headers={"Accept": "text/html"}
    )
    assert taken.status_code == 409
    assert "called “one” already" in taken.content.decode()
    client.post(f"/incidents/views/{two.pk}/change/", {"name": "three", "is_shared": "on"})
    assert views(acme)[0] == ("three", "severity:>=high", True)
    for _ in range(2):
        client.post(f"/incidents/views/{one.pk}/delete/")
    assert [name for name, *_ in views(acme)] == ["three"]
    assert journal_of(acme) == ["view_moved", "view_changed", "view_deleted"]


@pytest.mark.parametrize(
    "body",
    [{"name": ""}, {"name": "x" * 61}, {"name": "x", "q": '"'}, {"name": "x", "tab": "y"}],
)
def test_what_cannot_be_kept_is_refused(acme: Tenant, alice: User, body: dict[str, str]) -> None:
    assert signed_in(alice).post("/incidents/views/save/", body).status_code == 422
    assert views(acme) == []


def test_a_person_keeps_so_many_and_no_name_twice(
    acme: Tenant, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "MOST", 1)
    SavedViewFactory(tenant=acme, owner=alice, name="one")
    with bound(acme.pk) as now, pytest.raises(ViewRefused, match="1 views already"):
        saving.save(
            tenant_id=acme.pk,
            owner_id=alice.pk,
            name="two",
            asked=Asked(),
            is_shared=False,
            by=acting(alice),
            now=now,
        )
