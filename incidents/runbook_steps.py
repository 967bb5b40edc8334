"""The only place that finds the steps in a runbook: the lines of a task list, and the prose between them. Pure."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from textwrap import dedent

from markdown_it import MarkdownIt
from markdown_it.token import Token

STEP_CHARACTERS = 500
_TASK = re.compile(r"\[[ xX]\][ \t]+(?=\S)")
_PARSER = MarkdownIt("commonmark", {"html": False, "maxNesting": 100})


@dataclass(frozen=True)
class Part:
    """A step, or prose: that has no key. A key stands for the words of its step and nothing else."""

    text: str
    key: str = ""


@lru_cache(maxsize=200)
def parts(text: str) -> tuple[Part, ...]:
    """The runbook from its beginning to its end."""
    lines, at, found = text.split("\n"), 0, list[Part]()
    seen: Counter[str] = Counter()
    for first, last, said in _tasks(text):
        found += _prose(lines[at:first])
        found.append(Part(said, _key(said, seen[said])))
        seen[said] += 1
        at = last
    return (*found, *_prose(lines[at:]))


def steps(text: str) -> dict[str, str]:
    """Key → words, in their order."""
    return {part.key: part.text for part in parts(text) if part.key}


def _tasks(text: str) -> Iterator[tuple[int, int, str]]:
    """The lines of each step, and its words. What stands in code is no step: the parser knows."""
    tokens = _PARSER.parse(text)
    for opening, paragraph, inline in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if not _begins_item(opening, paragraph, inline) or inline.map is None:
            continue
        mark = _TASK.match(inline.content)
        if mark:
            said = " ".join(inline.content[mark.end() :].split())[:STEP_CHARACTERS]
            yield inline.map[0], inline.map[1], said


def _begins_item(opening: Token, paragraph: Token, inline: Token) -> bool:
    types = (opening.type, paragraph.type, inline.type)
    return types == ("list_item_open", "paragraph_open", "inline")


def _prose(lines: list[str]) -> list[Part]:
    text = dedent("\n".join(lines)).strip("\n")
    return [Part(text)] if text.strip() else []


def _key(said: str, n_before: int) -> str:
    """The same words twice are two steps."""
    return hashlib.sha256(f"{n_before} {said}".encode()).hexdigest()[:32]
