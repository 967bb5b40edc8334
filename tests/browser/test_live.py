"""The page stays true by itself: rows change in place, nothing moves, new ones wait to be shown."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import APIResponse, Page, Route, WebSocketRoute, expect

from tests.browser.conftest import SignIn, held, press
from tests.support.console import World, incident_of, report

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def desk(cast: World, sign_in: SignIn) -> Page:
    """alice looks at Acme's open incidents, of which there is one."""
    report(cast.acme, runs=["run-1"])
    page = sign_in(cast.alice)
    page.goto("/incidents/?tab=open")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    page.evaluate("window.isSamePage = true")
    return page


@pytest.mark.smoke
def test_a_row_changes_live_without_a_reload(cast: World, desk: Page) -> None:
    report(cast.acme, runs=["run-2", "run-3"])
    expect(desk.locator(".row .cell-events")).to_have_text("3")
    expect(desk.locator(".row .cell-runs")).to_contain_text("3 of 3")
    assert desk.evaluate("window.isSamePage") is True


def test_a_run_that_comes_back_says_so_on_its_page(cast: World, desk: Page) -> None:
    desk.goto("/runs/?state=failed")
    desk.get_by_role("link", name="run-1").click()
    expect(desk.locator("#run .verbs > .pill")).to_have_text("Failed")
    expect(desk.locator("#live")).to_have_attribute("data-state", "on")
    report(cast.acme, status="completed", runs=["run-1"])
    expect(desk.locator("#run .verbs > .pill")).to_have_text("Recovered alone")
    expect(desk.locator("#run .timeline")).to_contain_text("payment.completed")


def test_an_incident_that_resolves_itself_dims_and_stays_where_it_is(
    cast: World, desk: Page
) -> None:
    report(cast.acme, status="completed", runs=["run-1"])
    expect(desk.locator(".row")).to_have_class(re.compile("row-gone"))
    expect(desk.locator(".row .pill")).to_have_text("Resolved")


def test_new_incidents_wait_behind_a_pill_and_move_nothing(cast: World, desk: Page) -> None:
    desk.locator(".row .title").focus()
    before = desk.locator(".row").bounding_box()
    report(cast.acme, workflow="shipping", error_code="boom", runs=["ship-1"])
    expect(desk.locator("#show-new")).to_contain_text("1 new, show")
    expect(desk).to_have_title("(1) Incidents · AWFDRS")
    assert desk.locator(".row").bounding_box() == before
    press(desk, ".")
    expect(desk.locator(".row")).to_have_count(2)
    expect(desk.locator("#show-new")).to_be_hidden()
    assert desk.evaluate("window.isSamePage") is True


def test_a_storm_moves_the_rows_under_the_hand_and_the_cursor_by_nothing(
    cast: World, desk: Page
) -> None:
    for name in ("receipts", "refunds"):
        report(cast.acme, workflow=name, error_code=name, runs=[name])
    desk.reload()
    expect(desk.locator("#live")).to_have_attribute("data-state", "on")
    desk.locator(".row .title").nth(2).focus()
    desk.locator(".row").nth(1).hover()
    desk.evaluate(
        """() => {
          const rows = [...document.querySelectorAll(".row")];
          const tops = () => rows.map((row) => row.getBoundingClientRect().top);
          const before = tops();
          window.moved = 0;
          const look = () => {
            tops().forEach((top, at) => { window.moved = Math.max(window.moved, Math.abs(top - before[at])); });
            requestAnimationFrame(look);
          };
          look();
        }"""
    )
    for number in range(12):
        report(
            cast.acme, workflow=f"storm-{number}", error_code=f"s_{number}", runs=[f"s-{number}"]
        )
    expect(desk.locator("#show-new")).to_contain_text("12 new, show")
    assert desk.evaluate("window.moved") == 0
    expect(desk.locator(".row .title").nth(2)).to_be_focused()


def test_what_does_not_fit_the_filter_is_not_announced(cast: World, sign_in: SignIn) -> None:
    report(cast.acme, runs=["run-1"])
    page = sign_in(cast.alice)
    page.goto("/incidents/?tab=open&workflow=billing")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    report(cast.acme, workflow="shipping", error_code="boom", runs=["ship-1"])
    report(cast.acme, runs=["run-2"])  # the later hint has arrived: so has the earlier one
    expect(page.locator(".row .cell-events")).to_have_text("2")
    expect(page.locator("#show-new")).to_be_hidden()


def test_the_incident_page_changes_live_and_keeps_what_is_being_typed(
    cast: World, sign_in: SignIn
) -> None:
    report(cast.acme, runs=["run-1"])
    page = sign_in(cast.alice)
    page.goto(incident_of(cast.acme).get_absolute_url())
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    page.locator("summary[data-verb=ignore]").click()
    page.locator("#ignore-reason").fill("half a sen")
    report(cast.acme, runs=["run-2"])
    expect(page.locator(".counts")).to_contain_text("2 affected")
    expect(page.locator("#ignore-reason")).to_be_visible()
    expect(page.locator("#ignore-reason")).to_have_value("half a sen")


def test_another_tenants_incidents_never_arrive(cast: World, desk: Page) -> None:
    report(cast.globex, workflow="secret", error_code="theirs", runs=["g-1"])
    report(cast.acme, runs=["run-2"])
    expect(desk.locator(".row .cell-events")).to_have_text("2")
    expect(desk.locator("#show-new")).to_be_hidden()
    assert "secret" not in desk.content()


def test_a_kill_switch_shows_at_once_on_everybodys_page(
    cast: World, desk: Page, sign_in: SignIn
) -> None:
    ann = sign_in(cast.ann)
    ann.goto("/kill-switches/")
    ann.locator("#stop-form textarea").fill("double posting")
    ann.get_by_role("button", name="Stop now").click()
    expect(desk.locator("#stopped")).to_contain_text("double posting")
    expect(desk.locator(".row .pill")).to_have_text("Held")


def test_rows_that_were_read_before_an_acknowledgement_do_not_take_it_back(
    cast: World, desk: Page
) -> None:
    rows = re.compile("/incidents/rows/")
    early: list[tuple[Route, APIResponse]] = []
    answered: list[str] = []
    desk.route(rows, lambda route: early.append((route, route.fetch())), times=1)
    report(cast.acme, runs=["run-2"])
    _wait(desk, lambda: bool(early))
    press(desk, "Control+k")
    desk.keyboard.type("ackn")
    expect(desk.locator("[role=option][aria-selected=true]")).to_contain_text("Acknowledge")
    press(desk, "Enter")
    expect(desk.locator(".row .pill:not([data-becoming])")).to_have_text("Acknowledged")
    desk.evaluate(
        """() => {
          const pill = () => document.querySelector(".row .pill").textContent;
          const look = { subtree: true, childList: true, characterData: true };
          window.said = [];
          new MutationObserver(() => window.said.push(pill())).observe(document.body, look);
        }"""
    )
    desk.on("response", lambda answer: answered.append(answer.url))
    [(route, older)] = early
    route.fulfill(response=older)
    _wait(desk, lambda: len([url for url in answered if rows.search(url)]) > 1)  # read again
    expect(desk.locator(".row .cell-events")).to_have_text("2")
    assert set(desk.evaluate("window.said")) <= {"Acknowledged"}


def test_rows_that_are_read_before_a_step_is_answered_do_not_take_back_what_it_shows(
    cast: World, desk: Page
) -> None:
    rows: list[str] = []
    desk.on("response", lambda answer: rows.append(answer.url) if "/rows/" in answer.url else None)
    with held(desk, "/acknowledge/$"):
        press(desk, "a")
        report(cast.acme, runs=["run-2"])
        _wait(desk, lambda: len(rows) > 1)  # read, and read again
        expect(desk.locator(".row .pill")).to_have_text("Acknowledged")
    expect(desk.locator(".row .cell-events")).to_have_text("2")
    expect(desk.locator(".row .pill:not([data-becoming])")).to_have_text("Acknowledged")


def _wait(page: Page, is_so: Callable[[], bool]) -> None:
    for _ in range(500):
        if is_so():
            return
        page.wait_for_timeout(20)
    raise AssertionError("it never came")


@pytest.mark.smoke
def test_a_lost_line_is_found_again_and_nothing_is_missed(cast: World, sign_in: SignIn) -> None:
    report(cast.acme, runs=["run-1"])
    page = sign_in(cast.alice)
    lines: list[WebSocketRoute] = []
    is_cut = False

    def connect(line: WebSocketRoute) -> None:
        lines.append(line)
        if is_cut:
            line.close()
        else:
            line.connect_to_server()

    page.route_web_socket(re.compile("/ws/"), connect)
    page.goto("/incidents/?tab=open")
    expect(page.locator("#live")).to_have_attribute("data-state", "on")
    is_cut = True
    lines[0].close()
    _wait(page, lambda: len(lines) > 1)  # it has noticed, and tries again
    report(cast.acme, runs=["run-2"])  # nobody hears it
    expect(page.locator(".row .cell-events")).to_have_text("1")
    is_cut = False
    expect(page.locator(".row .cell-events")).to_have_text("2")
