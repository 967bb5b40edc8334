"""The only place that takes pictures: a page once loaded, in each width and theme, packed as small as it goes."""

import base64
import shutil
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page

from tests.browser.screen_stack import HOME, Stack

SCREENS = HOME / "docs" / "screens"
# 64 colours: a third of the size, by the browser that took the picture
PALETTE = Path(__file__).with_name("palette.js").read_text()
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
SIZES = {"1440": (1440, 900), "390": (390, 844)}
THEMES = ("light", "dark")
# Nothing is asked for any more, the typeface is there, and two frames were drawn with both.
SETTLED = """() => document.fonts.ready.then(() => !document.querySelector(".htmx-request")
  && new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true)))))"""
LIVE = "() => (document.getElementById('live')?.dataset.state ?? 'on') === 'on'"
# Of the page, and of what cuts off whatever is too wide for it.
EXCESS = """Math.max(document.documentElement.scrollWidth - innerWidth,
  ...[...document.querySelectorAll(".list, .verbs-bar, .top")].map((one) => one.scrollWidth - one.clientWidth))"""

Prepare = Callable[[Page, Stack], None]


@dataclass(frozen=True)
class Screen:
    """A page as somebody sees it; `first_of` opens the first row of that list, `then` opens something on it."""

    name: str
    path: str
    who: str = "ann"
    first_of: str = ""
    then: Prepare | None = None


def take(page: Page, screen: Screen, stack: Stack, quantiser: Page) -> None:
    page.set_viewport_size({"width": SIZES["1440"][0], "height": SIZES["1440"][1]})
    if not _open(page, screen):
        return print(f"{screen.name}: {screen.first_of} is empty")
    page.wait_for_function(LIVE)
    page.wait_for_load_state("networkidle")  # panels that are asked for once the page is there
    if screen.then:
        screen.then(page, stack)
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        for theme in THEMES:
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
            page.wait_for_function(SETTLED)
            whole = base64.b64encode(page.screenshot()).decode()
            small = base64.b64decode(quantiser.evaluate(PALETTE, whole))
            (SCREENS / f"{screen.name}-{theme}-{size}.png").write_bytes(_packed(small))
        if (excess := page.evaluate(EXCESS)) > 0:
            print(f"{screen.name} {size}: too wide by {excess} px")
    return None


def _open(page: Page, screen: Screen) -> bool:
    page.goto(screen.first_of or screen.path)
    if screen.first_of:
        first = page.locator(".row .title, .list tbody a").first
        if not first.count():
            return False
        page.goto(first.get_attribute("href") or "")
    return True


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
