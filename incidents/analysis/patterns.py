"""The only place that compiles what people type as a pattern: by RE2, which takes time linear in the text.

A pattern is a glob of the whole text (`*`, `?`, `[a-z]`), or a regular expression between two
slashes, found anywhere in it. Case never matters.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2

STARS_MOST = 5  # a glob of many stars costs more than anybody means by it
PATTERN_CHARACTERS = 1000  # the columns take less
TEXT_CHARACTERS = 8192  # what stands later is not looked at
_ASKED_AGAIN = 200  # characters of a text whose answer is kept: event types and codes
_MEMORY = 1 << 20  # bytes a compiled pattern may take: a{1000}{1000} is refused for what it costs
_CLASS = re.compile(r"\[(!?)(\]?[^\]]*)\]", re.DOTALL)


class PatternRefused(ValueError):
    """Nobody can match by this; the text is for who typed it."""


def demand(pattern: str) -> None:
    """Raises PatternRefused with what is wrong. Globs of too many stars are wrong, odd classes match nothing."""
    if len(pattern) > PATTERN_CHARACTERS:
        raise PatternRefused(f"At most {PATTERN_CHARACTERS} characters in a pattern.")
    if not is_regex(pattern):
        if pattern.count("*") > STARS_MOST:
            raise PatternRefused(f"At most {STARS_MOST} * in a pattern.")
    elif (compiled := _compiled(pattern)).refusal:
        raise PatternRefused(f"This pattern cannot be read: {compiled.refusal}.")


def fits(text: str, pattern: str) -> bool:
    """Whether a casefolded text fits. Never raises: what nobody could have saved matches nothing."""
    return _kept(text, pattern) if len(text) <= _ASKED_AGAIN else _searched(text, pattern)


@lru_cache(maxsize=4096)
def _kept(text: str, pattern: str) -> bool:
    return _searched(text, pattern)


def _searched(text: str, pattern: str) -> bool:
    try:
        demand(pattern)
    except PatternRefused:
        return False
    expression = _compiled(pattern).expression
    return bool(expression and expression.search(_bytes(text[:TEXT_CHARACTERS])))


def is_regex(pattern: str) -> bool:
    return len(pattern) > 2 and pattern[0] == pattern[-1] == "/"


@dataclass(frozen=True)
class _Compiled:
    """The expression, or why there is none: kept as well, since a saved one is asked by every event."""

    expression: Any = None
    refusal: str = ""


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> _Compiled:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False  # who typed it is told
    options.max_mem = _MEMORY
    source = pattern[1:-1] if is_regex(pattern) else _of_glob(_bytes(pattern.casefold()).decode())
    try:
        return _Compiled(re2.compile(_bytes(source), options))
    except re2.error as wrong:
        return _Compiled(refusal=_words(wrong))


def _of_glob(glob: str) -> str:
    parts, at = [], 0
    while at < len(glob):
        char, at = glob[at], at + 1
        if char == "*":
            parts.append(".*")
        elif char == "?":
            parts.append(".")
        elif char == "[" and (found := _CLASS.match(glob, at - 1)):
            parts.append(_class(*found.groups()))
            at = found.end()
        else:
            parts.append(str(re2.escape(char)))
    return rf"(?s)\A{''.join(parts)}\z"


def _class(negated: str, inside: str) -> str:
    safe = re.sub(r"([\\\[\]^&~|])", r"\\\1", inside)
    return f"[{'^' if negated else ''}{safe}]"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _words(wrong: Exception) -> str:
    said = wrong.args[0] if wrong.args else ""
    return (said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said))[:200]
