"""The only place that takes the pictures of every page: `make screens` writes docs/screens, from a stack of its own.

python -m tests.browser.screens [--at http://127.0.0.1:8000 --password …] [--only NAME …]
"""

import argparse
import base64
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

HOME = Path(__file__).parents[2]
SCREENS = HOME / "docs" / "screens"
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
# 64 colours: a third of the size, by the browser that took the picture
PALETTE = Path(__file__).with_name("palette.js").read_text()
SIZES = {"1440": (1440, 900), "390": (390, 844)}
THEMES = ("light", "dark")
READY_SECONDS, OUTAGE_SECONDS = 300, 180
SETTLED_MS = 600
ENOUGH_INCIDENTS = 5
ON_THE_PHONE_BY_DAY = {"overview", "incidents", "incident", "incident-needs-approval", "approval"}

Prepare = Callable[[Page], None]


@dataclass(frozen=True)
class Screen:
    """A page as somebody sees it; `first_of` opens the first row of that list, `then` opens something on it."""

    name: str
    path: str
    who: str = "ann"
    first_of: str = ""
    then: Prepare | None = None


def press(*keys: str) -> Prepare:
    def pressed(page: Page) -> None:
        for key in keys:
            page.keyboard.press(key)

    return pressed


def follow(link: str) -> Prepare:
    """Goes where a link of the page goes, dialog or not."""

    def followed(page: Page) -> None:
        page.goto(page.locator(link).first.get_attribute("href") or "")

    return followed


def simulate(page: Page) -> None:
    """A change of the tenant's rule, tried on what happened."""
    page.goto("/rules/tenant/")
    page.locator("[name=key]").select_option("retry.max_retries")
    page.locator("[name=value]").fill("0")
    page.locator("button", has_text="Simulate").click()
    page.locator("#h-assumed").wait_for()


SCREENS_OF = (
    Screen("overview", "/overview/"),
    Screen("incidents", "/incidents/?tab=open"),
    Screen("incidents-needing-attention", "/incidents/"),
    Screen("incidents-selected", "/incidents/?tab=open", then=press("x", "J", "J")),
    Screen("incidents-filter", "/incidents/?tab=open", then=press("f")),
    Screen("incidents-mistake", "/incidents/?q=severity:>=huge"),
    Screen("incidents-filtered-empty", "/incidents/?tab=open&q=vendor:nobody"),
    Screen("incidents-resolved", "/incidents/?tab=resolved"),
    Screen("first-event", "/incidents/", who="mallory"),
    Screen("incident", "", first_of="/incidents/?tab=open&q=events:>3"),
    Screen("incident-needs-approval", "", first_of="/incidents/"),
    Screen("post-mortem", "", first_of="/incidents/", then=follow("a[href$='/post-mortem/']")),
    Screen("palette", "/incidents/?tab=open", then=press("Control+k")),
    Screen("keyboard", "/incidents/?tab=open", then=press("?")),
    Screen("stop", "/overview/", then=press("!")),
    Screen("snooze", "/incidents/?tab=open", then=press("s", "6")),
    Screen("runs", "/runs/"),
    Screen("run", "", first_of="/runs/"),
    Screen("workflows", "/workflows/"),
    Screen("workflow", "", first_of="/workflows/"),
    Screen("events", "/events/"),
    Screen("event", "", first_of="/events/"),
    Screen("quarantine", "/quarantine/"),
    Screen("actions", "/actions/"),
    Screen("action", "", first_of="/actions/?tab=all"),
    Screen("approvals", "/approvals/"),
    Screen("approval", "", first_of="/approvals/"),
    Screen("deliveries", "/deliveries/"),
    Screen("campaigns", "/campaigns/"),
    Screen("campaign-plan", "", first_of="/incidents/", then=follow("a[href*='/campaigns/plan']")),
    Screen("inbox", "/inbox/"),
    Screen("analytics", "/analytics/"),
    Screen("safety", "/safety/"),
    Screen("vendors", "/vendors/"),
    Screen("vendor", "", first_of="/vendors/"),
    Screen("kill-switches", "/kill-switches/"),
    Screen("rules", "/rules/"),
    Screen("rule", "/rules/tenant/"),
    Screen("simulation", "/rules/", then=simulate),
    Screen("audit", "/audit/"),
    Screen("settings", "/settings/"),
    Screen("members", "/settings/members/"),
    Screen("keys", "/settings/keys/"),
    Screen("sessions", "/settings/sessions/"),
    Screen("second-step", "/settings/second-step/"),
    Screen("help", "/help/"),
    Screen("help-keyboard", "/help/keyboard/"),
    Screen("styleguide", "/styleguide/", who="admin"),
    Screen("sign-in", "/sign-in/", who=""),
    Screen("not-found", "/nowhere/"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at", help="a stack that runs already, instead of one of its own")
    parser.add_argument("--password")
    parser.add_argument("--only", nargs="*", default=[])
    asked = parser.parse_args()
    if asked.at:
        _take_all(asked.at, asked.password, asked.only)
        return
    with _stack() as (address, password):
        _take_all(address, password, asked.only)


@contextmanager
def _stack() -> Iterator[tuple[str, str]]:
    """`make run` in a directory of its own."""
    with tempfile.TemporaryDirectory() as data, socket.socket() as free:
        os.chmod(data, 0o755)  # noqa: S103  # the embedded Postgres runs as somebody else
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        environment = {**os.environ, "AWFDRS_DATA": data, "PORT": str(port)}
        command = [sys.executable, "manage.py", "up"]
        running = subprocess.Popen(
            command, env=environment, cwd=HOME, stdout=subprocess.PIPE, text=True
        )
        try:
            yield f"http://127.0.0.1:{port}", _password(running)
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(30)


def _password(running: "subprocess.Popen[str]") -> str:
    assert running.stdout is not None
    for line in running.stdout:
        if line.startswith("password: "):
            password: str = line.removeprefix("password: ").strip()
            return password
    raise SystemExit("the stack did not start")


def _take_all(address: str, password: str, only: list[str]) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    wanted = [screen for screen in SCREENS_OF if not only or screen.name in only]
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        quantiser = browser.new_page()
        for size, (width, height) in SIZES.items():
            for who in dict.fromkeys(screen.who for screen in wanted):
                context = browser.new_context(
                    base_url=address, viewport={"width": width, "height": height}
                )
                context.set_default_timeout(60_000)
                page = context.new_page()
                if who:
                    _sign_in(page, who, password)
                for screen in wanted:
                    if screen.who == who:
                        _take(page, screen, size, quantiser)
                context.close()
        browser.close()


def _sign_in(page: Page, who: str, password: str) -> None:
    page.goto("/sign-in/")
    page.locator("[name=login], [name=username]").fill(who)
    page.locator("[name=password]").fill(password)
    page.locator("main button").first.click()
    page.wait_for_load_state()
    if who == "ann":
        _wait_for_incidents(page)


def _wait_for_incidents(page: Page) -> None:
    """The simulated outage takes a minute to show what the product does."""
    give_up_at = time.monotonic() + OUTAGE_SECONDS
    while time.monotonic() < give_up_at:
        page.goto("/incidents/?tab=open")
        if page.locator(".row").count() >= ENOUGH_INCIDENTS:
            return
        page.wait_for_timeout(2000)


def _themes(screen: Screen, size: str) -> tuple[str, ...]:
    """A page has both when it is wide; what is opened on one has light there, and the phone dark."""
    if size == "390":
        return THEMES if screen.name in ON_THE_PHONE_BY_DAY else ("dark",)
    return ("light",) if screen.then and not screen.first_of else THEMES


def _packed(png: bytes) -> bytes:
    """The same picture, packed as tightly as it goes: the browser packs in a hurry."""
    at, chunks = 8, []
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        chunks.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += 12 + length
    chunks = [
        (name, zlib.compress(zlib.decompress(body), 9) if name == b"IDAT" else body)
        for name, body in chunks
    ]
    return png[:8] + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def _take(page: Page, screen: Screen, size: str, quantiser: Page) -> None:
    page.goto(screen.first_of or screen.path)
    if screen.first_of:
        first = page.locator(".row .title, .list tbody a").first
        if not first.count():
            return print(f"{screen.name}: {screen.first_of} is empty")
        page.goto(first.get_attribute("href") or "")
    if screen.then:
        screen.then(page)
    for theme in _themes(screen, size):
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
        page.wait_for_timeout(SETTLED_MS)
        whole = base64.b64encode(page.screenshot()).decode()
        small = base64.b64decode(quantiser.evaluate(PALETTE, whole))
        (SCREENS / f"{screen.name}-{theme}-{size}.png").write_bytes(_packed(small))
    excess = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    refused = re.sub(r"\s+", " ", page.locator("h1").first.inner_text()) if excess > 0 else ""
    if excess > 0:
        print(f"{screen.name} {size}: {refused!r} scrolls sideways by {excess} px")


if __name__ == "__main__":
    main()
