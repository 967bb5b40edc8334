"""Help is read in the console; every error answer's `type` opens a page that explains it."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from awfdrs_site import help_pages
from awfdrs_site.lib import keymap
from awfdrs_site.lib.problems import KINDS
from incidents.query_keys import CLAIMS, KEYS
from tests.cast import signed_in

SITE = "https://awfdrs.example"


def test_every_error_code_has_a_page_of_its_own() -> None:
    explained = {code: help_pages.problem(code) for code in KINDS}
    assert all("<p>" in page.html for page in explained.values())
    assert len({page.html for page in explained.values()}) == len(KINDS)


def test_pages_name_every_key_of_queries_and_of_the_keyboard() -> None:
    queries = help_pages.page("queries", site=SITE).html
    assert [name for name in KEYS if f"<code>{name}:</code>" not in queries] == []
    assert [name for name in CLAIMS if f"<code>is:{name}</code>" not in queries] == []
    keys = help_pages.page("keyboard", site=SITE).html
    assert [one.label for one in keymap.BINDINGS if one.label not in keys] == []


def test_pages_name_each_other_and_leave_no_blank() -> None:
    for page in help_pages.pages(site=SITE):
        assert "{{" not in page.html
        assert ".md" not in page.html
        assert page.lead
    assert f"curl {SITE}/api/v1/events" in help_pages.page("getting-started", site=SITE).html


def test_the_page_of_an_error_asks_nobody_who_they_are(db: None) -> None:
    answer = Client().get("/api/v1/incidents")
    opened = Client(headers={"Accept": "text/html"}).get(answer.json()["type"])
    assert opened.status_code == 200
    assert "A valid key or session is needed" in opened.content.decode()
    assert Client().get("/problems/nothing_like_it").status_code == 404


@pytest.mark.django_db
def test_help_is_read_by_everybody_of_a_tenant(bob: User) -> None:
    client = signed_in(bob)
    assert "Getting started" in client.get(reverse("help:list")).content.decode()
    for slug in help_pages.PAGES:
        assert client.get(reverse("help:page", args=[slug])).status_code == 200
    assert client.get(reverse("help:page", args=["nothing"])).status_code == 404
