"""Every page of the URL conf, crawled once: axe finds nothing in either theme or width, and each has a name."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from tests.api.access_table import PAGES
from tests.api.world import one_of_everything
from tests.browser import refusals
from tests.browser.axe import RULES, RUN, WIDTHS, faults, is_fine, options
from tests.browser.conftest import AXE, SignIn, press
from tests.factories import InvitationFactory, SavedViewFactory
from tests.support.console import World, incident_of, report

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

# What the path of a route is about, by how it begins.
ABOUT = {
    "incidents/bulk/": "bulk_job",
    "incidents/decisions/": "decision",
    "incidents/evidence/": "evidence",
    "incidents/": "reported",
    "runs/": "run",
    "events/": "event",
    "quarantine/": "quarantined",
    "approvals/": "approval",
    "actions/": "pending_action",
    "campaigns/": "planned_campaign",
    "vendors/": "vendor",
    "workflows/": "workflow",
    "rules/simulations/": "simulation",
}
NAMED = {
    "<slug:slug>": "queries",
    "<slug:code>": "validation_failed",
    "<slug:scope>/<path:target>": "vendor/stripe",
    "<str:token>": "nothing",
    "<str:uid>": "nothing",
}
ASKED = {"campaigns/plan": "?incident={reported}"}
# What GET answers with a piece of a page, a file, or a way to somewhere else.
NO_PAGE = {
    *("", "api/schema", "metrics", "static/bundle/<slug:digest>/<str:name>"),
    *("analytics/sheet", "approvals/count", "kill-switches/bar", "settings/second-step/codes/file"),
    *("incidents/rows", "incidents/complete", "incidents/first", "incidents/undo/steps"),
}
# Pages that another test opens: signed out, in a second step, or drawn by other people's programs.
ELSEWHERE = {
    *("docs", "redoc", "redoc/bundle.js", "sign-in", "sign-in/code", "no-tenant"),
    *("settings/second-step/app/off", "settings/second-step/codes"),
    *("settings/members/<uuid:pk>/remove", "settings/keys/<uuid:pk>/revoke"),
}
# With what the form holds, the page of the form.
ALIKE = {"kill-switches/preview": "kill-switches/stop"}
REFUSED = {"join/<str:token>", "password/new/<str:uid>/<str:token>", "confirm", "confirm/code"}
MORE = (
    "/incidents/?tab=open",
    "/incidents/?tab=resolved",
    "/incidents/?q=nothing",
    "/incidents/?q=severity:purple",
    "/incidents/{incident}/",
    "/incidents/{incident}/actions/",
    "/runs/?state=waived",
    "/deliveries/?status=sending",
    "/approvals/?tab=decided",
    "/inbox/?tab=unread",
    "/audit/?who=nobody",
    "/rules/?vendor=stripe&error_code=payment_timeout",
    "/nowhere/",
    "/sign-out/",
)
DOORS = ("/sign-in/", "/admin/login/")


@pytest.fixture
def ids(cast: World) -> dict[str, str]:
    """Acme with one of everything, and an incident as the pipeline makes it; ids by name."""
    cast.ann.is_staff = True
    cast.ann.save()
    things = one_of_everything(cast.acme, "acme")
    InvitationFactory(tenant=cast.acme)
    SavedViewFactory(tenant=cast.acme)
    # Lists that are asked about have two lines.
    report(cast.acme, workflow="receipts", vendor="stripe", error_code="", ago=timedelta(hours=2))
    long = "run-" + "x" * 190  # as long as ids may be
    report(cast.acme, workflow="receipts", vendor="stripe", error_code="", runs=["run-1", long])
    reported = incident_of(cast.acme, workflow__slug="receipts")
    return {name: str(pk) for name, pk in things.ids.items()} | {"reported": str(reported.pk)}


def _routes(ids: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Every route that GET shows as a page of ours, and an address of it."""
    stranger = Client(raise_request_exception=False)
    for route in PAGES.keys() - NO_PAGE - ELSEWHERE:
        about = next((name for start, name in ABOUT.items() if route.startswith(start)), "")
        path = route.replace("<uuid:pk>", ids.get(about, "01900000-0000-7000-8000-000000000000"))
        for parameter, value in NAMED.items():
            path = path.replace(parameter, value)
        path = f"/{path}" if route.startswith("problems") else f"/{path}/"
        if stranger.get(path).status_code != 405:  # what only POST may is no page
            yield route, path + ASKED.get(route, "").format(**ids)


def test_axe_finds_nothing_on_any_page_and_each_has_a_name_of_its_own(
    sign_in: SignIn, cast: World, ids: dict[str, str]
) -> None:
    page = sign_in(cast.ann, **options("wide"))
    page.add_init_script(path=AXE)
    found: list[str] = []
    titles: dict[str, str] = {}
    for route, path in sorted(_routes(ids), key=lambda one: one[0] in ALIKE):
        answer = page.goto(path)
        assert answer is not None
        if answer.status != 200 and route not in REFUSED:
            found.append(f"{path} answers {answer.status}")
        found += _named(page) + faults(page)
        other = titles.setdefault(page.title(), route)
        if ALIKE.get(route, route) != other and route not in REFUSED:
            found.append(f"{route} and {other} are both called {page.title()}")
    refusals.show(page)
    for path in (*MORE, *(f"/refused/{code}/" for code in refusals.CODES)):
        page.goto(path.format(**ids))
        found += _named(page) + faults(page)
    page.context.clear_cookies()
    for path in DOORS:
        page.goto(path)
        found += _named(page) + faults(page)
    assert not found, "\n".join(found)


def _named(page: Page) -> list[str]:
    n_headings = page.locator("h1").count()
    is_named = re.match(r".+ [·|] AWFDRS$", page.title()) is not None
    found = [] if n_headings == 1 and is_named else [f"{page.url}: {n_headings} h1, {page.title()}"]
    if page.locator(".side").count() and not page.locator("#stopped .stopped").count():
        found.append(f"{page.url} does not say that a kill switch is on")
    return found


@pytest.mark.smoke
def test_axe_finds_nothing_in_what_opens(cast: World, sign_in: SignIn, ids: dict[str, str]) -> None:
    page = sign_in(cast.alice, **options("wide"))
    page.add_init_script(path=AXE)
    page.goto(f"/incidents/{ids['reported']}/")
    page.locator("summary[data-verb=resolve]").click()
    is_fine(page)
    for width in WIDTHS.values():
        page.set_viewport_size({"width": width, "height": 844})
        panel = page.locator("details[open] .menu-panel").bounding_box()
        assert panel is not None
        assert panel["x"] >= 0
        assert panel["x"] + panel["width"] <= width
    page.locator(".verbs-more > summary").click()
    expect(page.locator("summary[data-verb=ignore]")).to_be_visible()
    is_fine(page)
    press(page, "Escape")
    page.locator("[data-stop]").click()
    page.locator("dialog textarea").fill("double posting")
    is_fine(page)
    page.get_by_role("button", name="Stop now").click()
    expect(page.locator(".toast")).to_be_visible()
    is_fine(page)
    press(page, "?")
    expect(page.locator("dialog")).to_be_visible()
    is_fine(page)
    page.locator("dialog [data-close]").click()
    page.set_viewport_size({"width": WIDTHS["narrow"], "height": 844})
    page.get_by_role("link", name="Menu").click()
    assert page.evaluate(RUN, RULES) == []


def test_axe_would_find_something(sign_in: SignIn) -> None:
    page = sign_in(None)
    page.add_init_script(path=AXE)
    page.goto("/sign-in/")
    page.evaluate("document.querySelector('main').append(document.createElement('img'))")
    assert any(found.startswith("image-alt") for found in page.evaluate(RUN, RULES))
