"""Signing in and out, choosing the tenant and the theme."""

import pytest
from django.test import Client
from django.urls import reverse

from tenants import scoping
from tenants.models import Membership
from tenants.states import Role
from tests.support.console import World, client_of, world

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "correct horse battery staple"


@pytest.fixture
def cast() -> World:
    made = world()
    made.alice.set_password(PASSWORD)
    made.alice.save()
    return made


def _sign_in(client: Client, password: str = PASSWORD, to: str = "") -> str:
    form = {"username": "alice", "password": password, "next": to}
    answer = client.post(reverse("tenants:sign-in"), form)
    return answer.headers.get("Location", "") or answer.content.decode()


def test_signing_in_goes_where_the_person_wanted(cast: World) -> None:
    assert _sign_in(Client(), to="/kill-switches/") == "/kill-switches/"


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "javascript:alert(1)"]
)
def test_signing_in_never_leads_elsewhere(cast: World, elsewhere: str) -> None:
    assert _sign_in(Client(), to=elsewhere) == "/"


def test_a_wrong_password_says_nothing_about_which_part_was_wrong(cast: World) -> None:
    browser = Client(headers={"Accept": "text/html"})
    assert "do not belong together" in _sign_in(browser, password="wrong")


def test_signing_out_ends_the_session(cast: World) -> None:
    alice = client_of(cast.alice)
    alice.post(reverse("tenants:sign-out"))
    assert alice.get("/incidents/").status_code == 302


def test_signing_out_by_a_link_is_refused(cast: World) -> None:
    assert client_of(cast.alice).get(reverse("tenants:sign-out")).status_code == 405


def test_a_person_of_two_tenants_switches_between_them(cast: World) -> None:
    with scoping.platform():
        Membership.objects.create(tenant=cast.globex, user=cast.alice, role=Role.VIEWER)
    alice = client_of(cast.alice)
    assert "<b>Acme</b>" in alice.get("/incidents/").content.decode()
    assert "Globex" in alice.get(reverse("tenants:select")).content.decode()
    alice.post(reverse("tenants:select"), {"tenant": str(cast.globex.pk)})
    assert "<b>Globex</b>" in alice.get("/incidents/").content.decode()


def test_nobody_switches_to_a_tenant_that_is_not_theirs(cast: World) -> None:
    alice = client_of(cast.alice)
    answer = alice.post(reverse("tenants:select"), {"tenant": str(cast.globex.pk)}, follow=True)
    assert "<b>Acme</b>" in answer.content.decode()


def test_a_person_without_a_tenant_is_told_so(cast: World) -> None:
    with scoping.platform():
        Membership.objects.filter(user=cast.alice).delete()
    answer = client_of(cast.alice).get("/incidents/", follow=True)
    assert answer.status_code == 403
    assert "You belong to no tenant yet" in answer.content.decode()


@pytest.mark.parametrize(
    ("current", "following"), [("", "light"), ("light", "dark"), ("dark", "system"), ("x", "light")]
)
def test_the_theme_goes_round_without_javascript(cast: World, current: str, following: str) -> None:
    alice = client_of(cast.alice)
    alice.cookies["theme"] = current
    answer = alice.post(reverse("tenants:theme"), {"next": "/incidents/"})
    assert answer.cookies["theme"].value == following


def test_the_page_arrives_in_the_chosen_theme(cast: World) -> None:
    alice = client_of(cast.alice)
    alice.cookies["theme"] = "dark"
    assert '<html lang="en" data-theme="dark">' in alice.get("/incidents/").content.decode()
