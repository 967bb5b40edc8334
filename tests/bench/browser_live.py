"""The only place that measures what an open console sees come in: changes, a storm, and a server that came back."""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Browser, BrowserContext, Page
from playwright.sync_api import TimeoutError as TooLate
from websockets.asyncio.client import connect

from tests.bench.actions import CELERY
from tests.bench.lines import Line

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from tests.support.console import World
    from tests.support.web import Web

LIST = "/incidents/?tab=open"
IS_LIVE = "document.getElementById('live')?.dataset.state === 'on'"
PER_SECOND, WARM_SECONDS = 50, 10
POSTING = 16  # connections
BATCH_SECONDS = 0.1
AWAY_SECONDS = 0.05  # there and back
WATCHED_EACH = 5  # every fifth event is about the row that is watched
WATCHED: dict[str, Any] = {
    "workflow": "watched",
    "error_code": "watched_failed",
    "vendor": "stripe",
}
# CONSOLE.md, goals 4 and 11
P50_MS, P95_MS, REGAINED_SECONDS = 400, 1000, 3.0
PATIENCE_MS = 120_000
STORM_PATIENCE_MS = 30_000
ANNOUNCED = "n => parseInt(document.getElementById('show-new').innerText) >= n"
WATCH_ROW = """(id) => {
  window.seen = [];
  const read = () => {
    const count = Number(document.querySelector(`#incident-${id} .cell-events`)?.textContent.replace(/\\D/g, ""));
    if (count > (window.seen.at(-1)?.[0] ?? 0)) window.seen.push([count, performance.timeOrigin + performance.now()]);
  };
  read();
  new MutationObserver(read).observe(document.getElementById("incidents"),
    { subtree: true, childList: true, characterData: true });
}"""
WATCH_PLACES = """() => {
  const rows = [document.querySelector(".row:hover"), document.activeElement.closest(".row")];
  const tops = () => rows.map((row) => row.getBoundingClientRect().top);
  const before = tops();
  window.moved = 0;
  window.looks = 0;
  const look = () => {
    window.looks += 1;
    tops().forEach((top, at) => { window.moved = Math.max(window.moved, Math.abs(top - before[at])); });
    requestAnimationFrame(look);
  };
  look();
}"""


def signed_in_context(browser: Browser, url: str, user: "User") -> BrowserContext:
    # its policy refuses what we ask the page while we wait; what it loads is the same
    context = browser.new_context(
        base_url=url, viewport={"width": 1440, "height": 900}, bypass_csp=True
    )
    context.set_default_timeout(PATIENCE_MS)
    name, value = _session(user)
    context.add_cookies([{"name": name, "value": value, "url": url}])
    return context


def measure(browser: Browser, web: "Web", cast: "World", asked: argparse.Namespace) -> None:
    from tests.cast import key_of
    from tests.support.console import incident_of, report

    report(cast.acme, **WATCHED, runs=["watched-0"])
    watched = str(incident_of(cast.acme, workflow__slug="watched").pk)
    load = Load(web.port, key_of(cast.acme), _session(cast.alice))
    page = signed_in_context(browser, web.url, cast.alice).new_page()
    with _worker():
        _warm_up(page, watched, load)
        _changes(page, watched, load, asked)
        _storm(page, load, asked)
        _lost(page, watched, web, cast)


@dataclass
class Load:
    """Events posted at an even pace beside consoles that re-read what they hear of, in a thread of its own."""

    port: int
    token: str
    session: tuple[str, str]
    sent_ms: list[float] = field(
        default_factory=list
    )  # when each event was due, by the clock on the wall
    refused: int = 0
    reread: int = 0

    def start(
        self, bodies: list[dict[str, Any]], *, per_second: float, consoles: int = 0
    ) -> threading.Thread:
        self.sent_ms.clear()
        self.reread = 0
        work = self._run(bodies, per_second, consoles)
        thread = threading.Thread(target=asyncio.run, args=(work,), daemon=True)
        thread.start()
        return thread

    async def _run(self, bodies: list[dict[str, Any]], per_second: float, consoles: int) -> None:
        # Each is as far away as colleagues are: asked in one instant, the one real browser here would always be last.
        away = [AWAY_SECONDS * number / max(1, consoles) for number in range(consoles)]
        open_ones = [asyncio.create_task(self._console(seconds)) for seconds in away]
        await asyncio.sleep(2 if consoles else 0)  # they are open before the first event
        due: asyncio.Queue[bytes | None] = asyncio.Queue()
        posting = [asyncio.create_task(self._post(due)) for _ in range(POSTING)]
        began = time.perf_counter()
        for number, body in enumerate(bodies):
            await asyncio.sleep(max(0.0, began + number / per_second - time.perf_counter()))
            self.sent_ms.append(time.time() * 1000)
            due.put_nowait(json.dumps(body).encode())
        for _ in posting:
            due.put_nowait(None)
        await asyncio.gather(*posting)
        await asyncio.sleep(1)
        for console in open_ones:
            console.cancel()

    async def _post(self, due: asyncio.Queue[bytes | None]) -> None:
        line = await Line(self.port).open()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        while (body := await due.get()) is not None:
            status, _ = await line.ask("POST", "/api/v1/events", headers, body)
            self.refused += status >= 300
        line.close()

    async def _console(self, away_seconds: float) -> None:
        """As live.js: what was heard of meanwhile is asked for in one request, after half as long as the last took."""
        cookie, heard = "=".join(self.session), asyncio.Event()
        address = f"ws://127.0.0.1:{self.port}/ws/feed"
        origin = {
            "Cookie": cookie,
            "Origin": address.replace("ws", "http", 1).removesuffix("/ws/feed"),
        }
        changed: dict[str, str] = {}  # id -> the message that named it
        async with connect(address, additional_headers=origin, proxy=None) as feed:
            asking = asyncio.create_task(self._ask(cookie, heard, changed, away_seconds))
            try:
                async for text in feed:
                    told = json.loads(text)
                    named = [
                        one["id"] for one in told.get("facts", ()) if one["topic"] == "incident"
                    ]
                    changed |= dict.fromkeys(named, told.get("rev", ""))
                    if changed:
                        heard.set()
            finally:
                asking.cancel()

    async def _ask(
        self, cookie: str, heard: asyncio.Event, changed: dict[str, str], away_seconds: float
    ) -> None:
        line, took = await Line(self.port).open(), 0.0
        as_browser = {"Cookie": cookie, "HX-Request": "true", "Accept-Encoding": "gzip"}
        while True:
            await heard.wait()
            await asyncio.sleep(away_seconds)
            heard.clear()
            last = list(changed.values())[-1]
            path = f"/incidents/rows/?tab=open&ids={','.join(changed)}&rev={last}"
            changed.clear()
            began = time.perf_counter()
            await line.ask("GET", path, as_browser)
            took = time.perf_counter() - began
            self.reread += 1
            await asyncio.sleep(max(BATCH_SECONDS, took / 2))


def _warm_up(page: Page, watched: str, load: Load) -> None:
    """The worker is there once what was posted is on the page, and has told people of the incidents that are new."""
    _open(page)
    page.evaluate(WATCH_ROW, watched)
    before: int = page.evaluate("window.seen.at(-1)[0]")
    bodies = [_body(-n, is_watched=n % WATCHED_EACH == 0) for n in range(WARM_SECONDS * PER_SECOND)]
    _pump(page, load.start(bodies, per_second=PER_SECOND))
    n_watched = len(bodies[::WATCHED_EACH])
    page.wait_for_function("n => window.seen.at(-1)[0] >= n", arg=before + n_watched)


def _changes(page: Page, watched: str, load: Load, asked: argparse.Namespace) -> None:
    """Event by event: from its POST until the open page counts it."""
    _open(page)
    page.evaluate(WATCH_ROW, watched)
    before: int = page.evaluate("window.seen.at(-1)[0]")
    n_events = asked.seconds * PER_SECOND
    bodies = [_body(n + 1, is_watched=n % WATCHED_EACH == 0) for n in range(n_events)]
    running = load.start(bodies, per_second=PER_SECOND, consoles=asked.consoles)
    _pump(page, running)
    sent = load.sent_ms[::WATCHED_EACH]
    page.wait_for_function("n => (window.seen.at(-1)?.[0] ?? 0) >= n", arg=before + len(sent))
    seen: list[tuple[int, float]] = page.evaluate("window.seen")
    late = [
        next(at for count, at in seen if count > before + number) - left
        for number, left in enumerate(sent)
    ]
    p95 = quantiles(late, n=20)[-1]
    is_met = median(late) <= P50_MS and p95 <= P95_MS
    print(
        f"{n_events} events at {PER_SECOND} a second, {asked.consoles} consoles that re-read "
        f"{load.reread} times: POST → row changed p50 {median(late):.0f}  p95 {p95:.0f}  "
        f"most {max(late):.0f} ms · {load.refused} refused · {'met' if is_met else 'not met'}",
        flush=True,
    )


def _storm(page: Page, load: Load, asked: argparse.Namespace) -> None:
    """New incidents, each of a workflow and a failure of its own, under a hand and a cursor."""
    _open(page)
    page.locator(".row").nth(2).hover()
    page.locator(".row .title").nth(4).focus()
    page.evaluate(WATCH_PLACES)
    bodies = [_new(number) for number in range(asked.storm)]
    running = load.start(bodies, per_second=asked.storm / asked.storm_seconds)
    _pump(page, running)
    with suppress(TooLate):  # then it says how many it knew
        page.wait_for_function(ANNOUNCED, arg=asked.storm, timeout=STORM_PATIENCE_MS)
    moved, looks = page.evaluate("[window.moved, window.looks]")
    said = page.locator("#show-new [data-words]").inner_text()
    print(
        f"{asked.storm} new incidents in {asked.storm_seconds} s ({said}): the rows under the pointer "
        f"and the cursor moved {moved:g} px in {looks} frames · {'met' if moved == 0 else 'not met'}",
        flush=True,
    )


def _lost(page: Page, watched: str, web: "Web", cast: "World") -> None:
    """The web process is killed, something happens, and another takes its port."""
    from tests.support.console import report
    from tests.support.web import served

    report(cast.acme, **WATCHED, runs=["before-it"])  # the storm's are newer
    _open(page)
    page.evaluate(WATCH_ROW, watched)
    before = page.evaluate("window.seen.at(-1)[0]")
    os.kill(web.pid, signal.SIGKILL)
    report(cast.acme, **WATCHED, runs=["while-away"])
    with served(port=web.port):
        back_ms = time.time() * 1000
        page.wait_for_function("n => window.seen.at(-1)[0] > n", arg=before)
        page.wait_for_function(IS_LIVE)
        took = (page.evaluate("window.seen.at(-1)[1]") - back_ms) / 1000
    print(
        f"the server came back: the page was true again after {max(0.0, took):.1f} s · "
        f"{'met' if took <= REGAINED_SECONDS else 'not met'} ({REGAINED_SECONDS:g})",
        flush=True,
    )


def _open(page: Page) -> None:
    page.goto(LIST)
    page.wait_for_function(IS_LIVE)


def _pump(page: Page, running: threading.Thread) -> None:
    while running.is_alive():
        page.wait_for_timeout(200)


def _body(number: int, *, is_watched: bool) -> dict[str, Any]:
    from tests.cast import event, failure

    name = "watched" if is_watched else f"busy-{number % 20}"
    payload = failure(
        error_code=f"{name}_failed" if is_watched else f"code_{number % 20}",
        error_message="Capture timed out",
    )
    return event(workflow=name, run_id=f"{name}-run-{number + 1}", payload=payload)


def _new(number: int) -> dict[str, Any]:
    from tests.cast import event, failure

    payload = failure(error_code=f"storm_{number}", error_message=f"Storm {number} broke")
    del payload["vendor"]  # failures of one vendor would become one storm
    return event(workflow=f"storm-{number}", run_id=f"storm-{number}", payload=payload)


def _session(user: "User") -> tuple[str, str]:
    from django.conf import settings

    from tests.support.console import client_of

    name: str = settings.SESSION_COOKIE_NAME
    return name, client_of(user).cookies[name].value


@contextmanager
def _worker() -> Iterator[None]:
    """One worker process, as `make run` starts it."""
    from tests.support.web import environment

    command = [sys.executable, *CELERY.split(), "--without-gossip", "--without-mingle"]
    silent = subprocess.DEVNULL
    given = environment(is_lane=True)
    with subprocess.Popen(command, env=given, stdout=silent, stderr=silent) as running:
        try:
            yield
        finally:
            running.terminate()
