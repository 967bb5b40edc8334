"""A real browser against a real server: the product's ASGI application in a thread, on this test's database."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright

from tests.support import threaded
from tests.support.console import World, client_of, world

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
# Debian's shell has no windows to draw, so it takes half the time; the whole browser will do.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)

# Two cores may be busy with much else: what comes late is late, not wrong.
expect.set_options(timeout=15_000)

SignIn = Callable[..., Page]


def press(page: Page, key: str) -> None:
    """Presses a key once the page's scripts have run: before that nobody listens."""
    page.wait_for_load_state()
    page.keyboard.press(key)


@contextmanager
def held(page: Page, address: str) -> Iterator[None]:
    """A slow line: what is asked of addresses that match waits until the block is over."""
    waiting: list[Route] = []
    is_over = False

    def hold(route: Route) -> None:
        if is_over:
            route.continue_()
        else:
            waiting.append(route)

    page.route(re.compile(address), hold)
    yield
    is_over = True
    for route in waiting:
        route.continue_()


# Package scope: a running Playwright keeps an event loop in this thread, which would fail every
# asyncio test and every ORM call of other packages that run after us in the same process.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as running:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # our ORM calls beside that loop
        # no sandbox: as root chromium has none, and it only sees our own pages
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def origin(django_db_setup: None) -> Iterator[str]:
    with threaded.running("console") as address:
        yield address


@pytest.fixture
def cast(chromium: Browser, transactional_db: None) -> World:
    return world()


class Opened:
    """Browser contexts of one test, with everything that went wrong in their pages."""

    def __init__(self, browser: Browser, origin: str) -> None:
        self._browser, self._origin = browser, origin
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []

    def page(self, user: User | None = None, **options: Any) -> Page:
        context = self._browser.new_context(base_url=self._origin, **options)
        context.set_default_timeout(10_000)
        self._contexts.append(context)
        if user is not None:
            session = client_of(user).cookies[settings.SESSION_COOKIE_NAME].value
            cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session, "url": self._origin}
            context.add_cookies([cookie])  # type: ignore[list-item]
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        page.on("console", self._hear)
        page.on("request", self._see)
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _see(self, request: Any) -> None:
        """Nobody else's host is ever asked for anything."""
        if not request.url.startswith((self._origin, "data:", "blob:", "about:")):
            self.complaints.append(f"asked {request.url}")

    def _hear(self, message: Any) -> None:
        """Refusals by the content security policy arrive here, and errors of htmx and of ours."""
        is_answer = message.text.startswith(
            "Failed to load resource"
        )  # a 4xx that a test asked for
        if message.type in ("error", "warning") and not is_answer:
            self.complaints.append(message.text)


@pytest.fixture
def opened(chromium: Browser, origin: str, cast: World) -> Iterator[Opened]:
    """Every test ends with the question whether its pages complained."""
    opened = Opened(chromium, origin)
    yield opened
    opened.close()
    assert opened.complaints == []


@pytest.fixture
def sign_in(opened: Opened, cast: World) -> SignIn:
    """`sign_in(cast.alice)` opens a signed-in page; options are those of a browser context."""
    return opened.page
