"""The only place that reads the help pages: Markdown under docs/help, with its tables made from the product's own."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from django.conf import settings
from django.http import Http404
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from markdown_it import MarkdownIt
from markdown_it.token import Token

from awfdrs_site.lib import keymap
from awfdrs_site.lib.problems import KINDS
from incidents.query_keys import CLAIMS, KEYS

FOLDER = settings.BASE_DIR / "docs" / "help"
PAGES = ("getting-started", "queries", "keyboard", "safety", "figures", "errors")
_BLANK = re.compile(r"\{\{ (\w+) \}\}")
_SECTION = re.compile(r"^## (?P<head>.+)\n(?P<text>(?:(?!## ).*\n?)*)", re.MULTILINE)
_PARSER = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


@dataclass(frozen=True)
class Heading:
    """A part of a page, and the name by which an address reaches it."""

    text: str
    anchor: str


@dataclass(frozen=True)
class HelpPage:
    slug: str
    title: str
    lead: str  # its first paragraph
    headings: tuple[Heading, ...]
    html: SafeString


@dataclass(frozen=True)
class ProblemPage:
    """What one code of an error answer means."""

    code: str
    status: int
    title: str
    html: SafeString


def pages(*, site: str) -> tuple[HelpPage, ...]:
    return tuple(page(slug, site=site) for slug in PAGES)


@lru_cache(maxsize=60)
def page(slug: str, *, site: str) -> HelpPage:
    """One page; `site` is the address that its examples name. Raises Http404."""
    if slug not in PAGES:
        raise Http404
    title, _, text = _text(slug).partition("\n")
    tokens = _PARSER.parse(_filled(text, site=site))
    headings = tuple(_anchored(tokens))
    lead = next(token.content for token in tokens if token.type == "inline").replace("`", "")
    return HelpPage(slug, title.removeprefix("# "), lead, headings, _drawn(tokens))


@cache
def problem(code: str) -> ProblemPage:
    """The section of the errors' page about one code. Raises Http404."""
    sections = {found["head"].strip("` "): found["text"] for found in _sections("errors")}
    if code not in KINDS or code not in sections:
        raise Http404
    status, title = KINDS[code]
    return ProblemPage(code, status, title, _drawn(_PARSER.parse(sections[code])))


def _text(slug: str) -> str:
    return str((FOLDER / f"{slug}.md").read_text())


def _sections(slug: str) -> Iterator[re.Match[str]]:
    return _SECTION.finditer(_text(slug))


def _filled(text: str, *, site: str) -> str:
    return _BLANK.sub(lambda found: site if found[1] == "site" else _TABLES[found[1]](), text)


def _anchored(tokens: Sequence[Token]) -> Iterator[Heading]:
    """Give every heading a name, and every wide block a keyboard's way into it."""
    for at, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            text = tokens[at + 1].content.replace("`", "")
            heading = Heading(text, slugify(text))
            token.attrSet("id", heading.anchor)
            yield heading


def _drawn(tokens: Sequence[Token]) -> SafeString:
    for token in tokens:
        for inner in token.children or ():
            if inner.type == "link_open":
                inner.attrSet("href", _address(str(inner.attrGet("href"))))
    drawn = str(_PARSER.renderer.render(tokens, _PARSER.options, {}))
    for wide in ("table", "pre"):  # what is wide scrolls inside itself, by keyboard too
        drawn = drawn.replace(f"<{wide}>", f'<div class="scroll" tabindex="0"><{wide}>')
        drawn = drawn.replace(f"</{wide}>", f"</{wide}></div>")
    return mark_safe(drawn)  # noqa: S308  # our own files, and no HTML in them


def _address(href: str) -> str:
    """Pages name each other as files, so that they are read in a checkout too."""
    name, dot, rest = href.partition(".md")
    if dot and name in PAGES:
        return f"{reverse('help:page', args=[name])}{rest}"
    return href


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _keys() -> str:
    rows = (
        (f"`{key.name}:`", key.label, f"`{key.hint}`", _takes(key.choices)) for key in KEYS.values()
    )
    return _table(("Key", "Asks about", "For example", "Values"), rows)


def _takes(choices: Sequence[str]) -> str:
    return ", ".join(f"`{choice}`" for choice in choices) or "any"


def _claims() -> str:
    return _table(
        ("Claim", "True of incidents"),
        ((f"`is:{name}`", says) for name, says in CLAIMS.items()),
    )


def _bindings() -> str:
    return "\n\n".join(
        f"## {group.label}\n\n"
        + _table(
            ("Key", "Does"),
            (
                (" or ".join(f"`{keymap.shown(key)}`" for key in binding.keys), binding.label)
                for binding in group.bindings
            ),
        )
        for group in keymap.groups()
    )


def _codes() -> str:
    rows = (
        (f"[`{code}`](/problems/{code})", str(status), title)
        for code, (status, title) in KINDS.items()
    )
    return _table(("Code", "Status", "Title"), rows)


_TABLES: dict[str, Callable[[], str]] = {
    "keys": _keys,
    "claims": _claims,
    "bindings": _bindings,
    "codes": _codes,
}
