"""The only place that reads text as it was written: folds its spelling, makes titles of it.

Every expression below is bounded or possessive, so the time is linear in the text.
"""

import re
import unicodedata

INPUT_LIMIT = 8192  # characters read of any text (RELIABILITY.md G5)
_FOLDED_LIMIT = 2048  # characters folded: four times what `masking` keeps

_ANSI = re.compile(r"\x1b\[[0-9;?]{0,32}+[A-Za-z]")
_INVISIBLE = (0xAD, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070))
_PLAIN: dict[int, str | None] = {
    **dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029), " "),
    **dict.fromkeys((*_INVISIBLE, *range(0xFE00, 0xFE10))),
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
    **dict.fromkeys((0x60, 0xB4, 0x2018, 0x2019, 0x201A, 0x201B, 0x2032), "'"),
    **dict.fromkeys((0xAB, 0xBB, 0x201C, 0x201D, 0x201E, 0x201F, 0x2033), '"'),
    **dict.fromkeys((*range(0x2010, 0x2016), 0x2212), "-"),
}
_SPACE_BEFORE_MARK = re.compile(r" (?=[,;:!?])")


def fold(text: str) -> str:
    """One way to write a text: width, case, accents, quotes, dashes, spaces, terminal colours."""
    text = _ANSI.sub("", text[:INPUT_LIMIT])
    if not text.isascii():
        # Half as many, since each takes two bytes or more. Accents go before they are sorted,
        # which unicodedata does in quadratic time; then one letter can become eighteen.
        text = unicodedata.normalize("NFKD", _bare(text[: INPUT_LIMIT // 2]))[:_FOLDED_LIMIT]
        text = unicodedata.normalize("NFC", _bare(text))
    line = " ".join(text.translate(_PLAIN).casefold().split())
    return _SPACE_BEFORE_MARK.sub("", line)[:_FOLDED_LIMIT]


def _bare(text: str) -> str:
    marks = {ord(letter): None for letter in set(text) if unicodedata.combining(letter)}
    return text.translate(marks) if marks else text


def first_line(text: str) -> str:
    """The first line that says anything, as written but for control characters and spaces."""
    for line in _ANSI.sub("", text[:INPUT_LIMIT]).splitlines():
        if shown := " ".join("".join(map(_visible, line)).split()):
            return shown
    return ""


def _visible(character: str) -> str:
    # Bidirectional overrides and other invisible characters could make a title lie.
    kind = unicodedata.category(character)
    return " " if kind == "Cc" else "" if kind in {"Cf", "Cs"} else character


_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BETWEEN_WORDS = re.compile(r"[^\w]++|_++")


def humanised(code: str) -> str:
    """`card_declined` and `CardDeclined` as "Card declined"; `HTTP_503` keeps its capitals."""
    spaced = " ".join(_BETWEEN_WORDS.sub(" ", _CAMEL.sub(" ", first_line(code))).split())
    words = [word if word.isupper() else word.lower() for word in spaced.split(" ")]
    if len(words) > 1 and all(word.isupper() or word.isdecimal() for word in words):
        words = [word.lower() if len(word) > 4 else word for word in words]
    text = " ".join(words)
    return text[:1].upper() + text[1:]
