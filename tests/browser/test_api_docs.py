"""The API's pages work in a real browser under their policy, and ask no other host for anything."""

import pytest
from playwright.sync_api import Browser


@pytest.mark.browser
@pytest.mark.parametrize(("path", "shows"), [("/docs", ".opblock"), ("/redoc", "[role=menuitem]")])
def test_the_page_shows_the_operations_and_complains_of_nothing(
    chromium: Browser, origin: str, path: str, shows: str
) -> None:
    page = chromium.new_page()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(f"{origin}{path}")
    page.wait_for_selector(shows, timeout=30_000)
    page.wait_for_load_state("networkidle")
    page.close()
    assert [url for url in asked if not url.startswith((origin, "data:", "blob:"))] == []
    assert complaints == []
