"""The admin in a browser: no page breaks the content security policy or scrolls sideways, in both themes and widths."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from tests.admin.pages import pages, rows_of
from tests.browser.conftest import SignIn
from tests.factories import UserFactory
from tests.support.console import World

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

NOT_OPENED = {"logout", "jsi18n", "autocomplete", "login"}


@pytest.fixture
def staff(cast: World) -> User:
    return UserFactory(username="staff", is_staff=True, is_superuser=True)


def _paths(rows: dict[Any, Any]) -> list[str]:
    return [
        route.path(rows[route.model].pk if route.of_object else None)
        for route in pages()
        if route.name not in NOT_OPENED and (route.model in rows or not route.of_object)
    ]


@pytest.mark.parametrize(("theme", "width"), [("light", 390), ("dark", 1440)])
def test_no_page_is_refused_anything_or_scrolls_sideways(
    cast: World, sign_in: SignIn, staff: User, theme: str, width: int
) -> None:
    # refusals by the policy are complaints, which end this test
    page = sign_in(staff, viewport={"width": width, "height": 844}, color_scheme=theme)
    paths = _paths(rows_of(cast.acme, "own"))
    # each page once, two of three where things break
    shown = [path for at, path in enumerate(paths) if (at % 3 != 2) == (width == 390)]
    for path in shown:
        page.goto(path)
        excess = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert excess <= 0, f"{path} scrolls sideways by {excess} px"


def test_the_theme_that_was_chosen_counts_here_too(
    cast: World, sign_in: SignIn, opened: Any
) -> None:
    page = sign_in(cast.ann, color_scheme="light")
    page.context.add_cookies([{"name": "theme", "value": "dark", "url": opened._origin}])
    page.goto(reverse("admin:index"))
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
