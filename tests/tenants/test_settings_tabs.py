"""Each page of the settings says which of them it is."""

import re

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from tests.cast import signed_in

pytestmark = pytest.mark.django_db

PAGES = {
    "tenants:preferences": "Preferences",
    "tenants:password": "Password",
    "mfa_index": "Second step",
    "tenants:sessions": "Sessions",
    "tenants:members": "Members",
    "tenants:keys": "API keys",
}


@pytest.mark.parametrize(("route", "name"), PAGES.items())
def test_one_tab_is_the_page(ann: User, route: str, name: str) -> None:
    text = signed_in(ann).get(reverse(route)).content.decode()
    tabs = re.search(r'<nav class="tabs".*?</nav>', text, re.DOTALL)
    assert tabs is not None
    assert re.findall(r'aria-current="page">([^<]+)<', tabs[0]) == [name]
