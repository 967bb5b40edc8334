"""What a visit costs: few requests, little weight, nobody else's host, no layout shift."""

import pytest
from playwright.sync_api import Page, Response, expect

from tests.browser.conftest import SignIn
from tests.support.console import World, report

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

REQUESTS = 7
KILOBYTES = 110
NEXT_KILOBYTES = 20
TRANSFERRED = """() => ["navigation", "resource"].flatMap((kind) => performance.getEntriesByType(kind))
  .reduce((sum, one) => sum + one.transferSize, 0)"""
SHIFT = """() => new Promise(done => new PerformanceObserver(list => done(
  list.getEntries().reduce((sum, entry) => sum + entry.value, 0)))
  .observe({type: 'layout-shift', buffered: true}) || setTimeout(() => done(0), 300))"""


@pytest.fixture
def desk(cast: World, sign_in: SignIn) -> Page:
    for number in range(8):
        report(
            cast.acme, workflow=f"flow-{number}", error_code=f"code_{number}", runs=[f"r-{number}"]
        )
    return sign_in(cast.alice)


def test_a_first_visit_is_light_and_asks_nobody_else(desk: Page, origin: str) -> None:
    answers: list[Response] = []
    desk.on("response", lambda answer: answers.append(answer))
    desk.goto("/incidents/?tab=open", wait_until="networkidle")
    assert [a.url for a in answers if not a.url.startswith(origin)] == []
    assert len(answers) <= REQUESTS, [a.url for a in answers]
    weight = sum(a.request.sizes()["responseBodySize"] for a in answers)
    assert weight <= KILOBYTES * 1024, {a.url: a.request.sizes() for a in answers}


def test_the_next_page_costs_little_more_than_itself(desk: Page) -> None:
    desk.goto("/incidents/?tab=open", wait_until="networkidle")
    desk.locator(".row .title").first.click()
    expect(desk.locator("#actions .card").first).to_be_visible()
    expect(desk.locator("#actions a.link")).to_have_count(0)  # what stood there until they came
    desk.wait_for_load_state("networkidle")
    assert desk.evaluate(TRANSFERRED) <= NEXT_KILOBYTES * 1024


def test_nothing_shifts_while_the_page_comes_up(desk: Page) -> None:
    desk.goto("/incidents/?tab=open")
    expect(desk.locator("#live")).to_have_attribute("data-state", "on")
    assert round(desk.evaluate(SHIFT), 4) == 0  # a fraction of a pixel is not seen
