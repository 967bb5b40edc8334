"""The only place that takes people's notes and shows their Markdown: no HTML of theirs, no images, safe links."""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

from incidents import keeping
from incidents.models import Incident
from tenants.journal import Actor

TAGS = {
    *("p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "a"),
    *("ul", "ol", "li", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
NESTING = 100  # of quotes and lists; nobody means more
DEEPEST = 6
UNDER = 3  # a note stands under a heading of this depth


def comment(incident: Incident, *, note: str, by: Actor, now: datetime) -> Incident:
    """Put a note into the timeline."""
    return keeping.save(keeping.locked(incident), "commented", by=by, now=now, note=note)


@lru_cache(maxsize=500)
def as_html(note: str, *, under: int = UNDER) -> SafeString:
    """The note as it is shown. What the parser lets through is cleaned once more, by another's rules.

    `under` is the depth of the page's heading above it.
    """
    tokens = _PARSER.parse(note)
    _sink_headings(tokens, under)
    drawn = _PARSER.renderer.render(tokens, _PARSER.options, {})
    cleaned = nh3.clean(
        drawn,
        tags=TAGS,
        attributes={"a": {"href"}, "ol": {"start"}},
        url_schemes={"http", "https", "mailto"},
        attribute_filter=_whole_address,
        link_rel="noopener nofollow",
        strip_comments=True,
    )
    return mark_safe(cleaned)  # noqa: S308  # by nh3


def _sink_headings(tokens: Iterable[Token], under: int) -> None:
    """Below the page's own, and none deeper than one below the one before it."""
    level = under
    for token in tokens:
        if token.type == "heading_open":
            level = min(under + int(token.tag[1:]), level + 1, DEEPEST)
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{level}"


def _whole_address(_tag: str, name: str, value: str) -> str | None:
    """No `//elsewhere`, which looks like a page of ours."""
    is_whole = value.lower().startswith(("https://", "http://", "mailto:"))
    return value if name in ("start", "rel") or (name == "href" and is_whole) else None


def _parser() -> MarkdownIt:
    settled = {"html": False, "linkify": False, "breaks": True, "maxNesting": NESTING}
    parser = MarkdownIt("commonmark", settled).enable(["table", "strikethrough"])
    return parser.disable(["image", "html_block", "html_inline"])


_PARSER = _parser()
