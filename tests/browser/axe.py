"""The only place where tests ask axe about a page, in both themes and widths, as it stands."""

from itertools import count
from typing import Any

from playwright.sync_api import Page

from tests.faults.sizes import IS_FULL

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OF_COLOURS = ["color-contrast"]  # all that another theme can change
RUN = """(rules) => axe.run({runOnly: rules, resultTypes: ['violations'], preload: false})
  .then(found => found.violations.map(
    one => one.id + ': ' + one.nodes.map(node => node.target.join(' ')).slice(0, 5).join(', ')))"""
TURN = "(theme) => { document.documentElement.dataset.theme = theme; }"
# Of the page, and of the bars that stay where they are while it scrolls.
WIDER_BY = """Math.max(document.documentElement.scrollWidth - innerWidth,
  ...[...document.querySelectorAll(".top, .verbs-bar")].map((bar) => bar.scrollWidth - bar.clientWidth))"""
WIDTHS = {"wide": 1440, "narrow": 390}
# What a zoom of 200 % leaves of a wide desk's screen and of a laptop's, and one of 400 % of it.
ZOOMED = (960, 720, 320)
HEIGHT = 844
WAYS = [
    [(1440, "light", RULES), (390, "dark", OF_COLOURS)],
    [(390, "light", RULES), (1440, "dark", OF_COLOURS)],
]

_asked = count()


def options(width: str) -> dict[str, Any]:
    return {"viewport": {"width": WIDTHS[width], "height": HEIGHT}, "color_scheme": "light"}


def faults(page: Page) -> list[str]:
    """What axe says of the page in both themes and widths, and whether it ever scrolls sideways.

    Pages are made of the same pieces: one is asked wide in light and narrow in dark, the next the other way round.
    At full size each is asked in all four ways.
    """
    found = []
    ways = WAYS[0] + WAYS[1] if IS_FULL else WAYS[next(_asked) % 2]
    for width, theme, rules in ways:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        page.evaluate(TURN, theme)
        said = page.evaluate(RUN, rules) + _sideways(page)
        found += [f"{page.url} at {width} px in {theme}: {one}" for one in said]
    for width in ZOOMED:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        found += [f"{page.url} at {width} px {one}" for one in _sideways(page)]
    return found


def _sideways(page: Page) -> list[str]:
    excess = page.evaluate(WIDER_BY)
    return [f"scrolls sideways by {excess} px"] if excess > 0 else []


def is_fine(page: Page) -> None:
    found = faults(page)
    assert not found, "\n".join(found)
