"""The only place that reads error text: folds its spelling and masks the values that change.

Every expression below is bounded or possessive, so the time is linear in the text, whoever wrote
it; no decision looks further than one piece of text and its two neighbours.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from http import HTTPStatus

from incidents.spelling import respelled

INPUT_LIMIT = 8192  # characters read of any text (RELIABILITY.md G5)
_FOLDED_LIMIT = 2048  # characters masked: four times what a template keeps
TEMPLATE_LIMIT = 512  # characters kept: what differs only after that is the same failure
NOISE = "<noise>"

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


_NUMBER = r"\d{1,18}+(?:[.,]\d{1,18}+){0,3}+"
_CLOCK = r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d{1,9})?)?"
_ZONE = r"(?:[ ]?(?:z|utc|gmt|[ap]m|[+-]\d\d:?\d\d)(?!\w))?"
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6},?[ ])?"
_UNIT = (
    r"(?:milliseconds?|microseconds?|nanoseconds?|millis|seconds?|minutes?|hours?|days?|weeks?"
    r"|months?|years?|msecs?|secs?|mins?|hrs?|ms|[uμ]s|ns|s|h)"
)

# Values that contain spaces, so they have to be found before the text is cut into pieces.
_SPAN = re.compile(
    rf"""(?=[\da-z])(?<![\w.])(?:
    (?P<time>
        \d{{4}}[-/]\d{{1,2}}[-/]\d{{1,2}}(?:[ _t]{_CLOCK})?{_ZONE}(?!\w)
      | \d{{1,2}}/(?:{_MONTH}|\d{{1,2}})/\d{{4}}(?:[:[ ]{_CLOCK})?{_ZONE}(?!\w)
      | {_WEEKDAY}(?:{_MONTH}[ ]\d{{1,2}}|\d{{1,2}}[ -]{_MONTH}(?:-\d{{4}})?)
        (?:,?[ ](?:\d{{4}}(?!\w)|{_CLOCK}(?!\w))){{1,2}}{_ZONE}
      | \d{{1,2}}:\d\d:\d\d(?:[.,]\d{{1,9}})?{_ZONE}(?![\w:])
    )
  | (?P<duration>
        {_NUMBER}[ -]?{_UNIT}(?!\w)
      | (?:\d{{1,9}}+(?:\.\d{{1,9}}+)?(?:min|sec|hr|ms|[uμ]s|ns|[dhmsw])){{1,6}}+(?!\w)
    )
  | (?P<size>{_NUMBER}(?:[ ]?(?:[kmgtp]i?b|bytes?)(?:/s|ps)?|[kmgtp]i)(?!\w))
  | (?P<num>{_NUMBER}[ ]?%)
    )""",
    re.VERBOSE,
)
_PIECE = re.compile(r"""(?:<[a-z]{2,8}>|[^\s<>()\[\]{}"',;|])++""")
_SHAPE = re.compile(
    r"""
    (?P<url>(?:[a-z][a-z0-9+.-]{1,15}+:){1,3}+//.++)
  | (?P<email>[\w.+%-]{1,64}+@[\w-]{1,63}+(?:\.[\w-]{1,63}+){1,8}+)
  | (?P<id>ey[a-z0-9_-]{8,}+\.[a-z0-9_-]{4,}+(?:\.[a-z0-9_-]*+)?  # a JSON web token
      | (?=(?:[^\d]{0,15}+\d){3})[a-z0-9+/]{32,}+={0,2}+)           # base64: digits come often
  | (?P<ip>(?=\D*+\d)(?:[0-9a-f]{0,4}+:){2,7}+[0-9a-f.]{0,15}+)
  | (?P<path>(?:~|\.{1,2}|[a-z]:|)[/\\][^/\\].*+
      | [^/\\]++[/\\][^/\\]++[/\\].++
      | [^/\\]++[/\\][^/\\.]++\.[a-z]{1,5}+(?::\d{1,9}){0,2}+)
    """,
    re.VERBOSE,
)
_WORD = re.compile(
    r"""
    (?P<kept><[a-z]{2,8}>)
  | (?P<uuid>[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?![^\W_]))
  | (?P<ip>\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?(?![^\W_]|\.\d))
  | (?P<num>(?<![^\W_])[+-]?\d++(?:\.\d++){0,8}+(?:st|nd|rd|th|x|k)?(?![^\W_]))
  | (?P<word>[^\W_]++)
    """,
    re.VERBOSE,
)
_SPACED = (  # how a template is punctuated
    (re.compile(r" ?\( ?"), " ("),
    (re.compile(r" ?\)(?=[^\W_])"), ") "),
    (re.compile(r" \)"), ")"),
    (re.compile(r"(<[a-z]{2,8}>)(?:(?: ?[,;/|&] ?| and | or | )\1)++"), r"\1"),  # a list of values
)


def template(text: str) -> str:
    """One round of folding and masking (`signature.normalise` finds its fixed point)."""
    pieces, size = [], 0
    for piece in _masked(_SPAN.sub(lambda span: f"<{span.lastgroup}>", fold(text))):
        pieces.append(piece)
        size += len(piece)
        if size > TEMPLATE_LIMIT:  # the rest would be cut off below
            break
    line = "".join(pieces)
    for pattern, replacement in _SPACED:
        line = pattern.sub(replacement, line)
    return _cut(line.strip()).rstrip(" .,;:!?")


def _cut(line: str) -> str:
    if len(line) <= TEMPLATE_LIMIT:
        return line
    space = line.rfind(" ", 1, TEMPLATE_LIMIT)
    return line[: space if space > 0 else TEMPLATE_LIMIT]


def _masked(text: str) -> Iterator[str]:
    done = 0
    for piece in _PIECE.finditer(text):
        start, end = piece.span()
        if done < start:
            yield text[done:start]
        if piece[0].isalpha():
            yield _vocabulary(piece[0])
        else:
            yield from _piece(text, start, end)
        done = end
    yield text[done:]


def _piece(text: str, start: int, end: int) -> Iterator[str]:
    """A piece is masked whole when it has a shape, also as the value of `key=…`; else by words."""
    core = text[start:end].lstrip("=*#")
    yield text[start : end - len(core)]
    start, core = end - len(core), core.rstrip(".:!?")
    shape = _SHAPE.fullmatch(core)
    if shape is None and (key := core.find("=", 0, 64)) > 0:
        yield from _words(text, start, start + key + 1)
        start += key + 1
        core = core[key + 1 :]
        shape = _SHAPE.fullmatch(core)
    if shape is None:
        yield from _words(text, start, end)
    else:
        yield f"<{shape.lastgroup}>"
        yield text[start + len(core) : end]


# A number is kept only where it names the problem: after "code", "status" and the like any short
# one; elsewhere only a known HTTP error whose neighbours (it stands as NUL) say that it is one.
_CODE = re.compile(r"(?<![^\W_])(?:code|status|errno|sqlstate|signal|http|exit)[\s:=#\"'(-]{1,3}\0")
_HTTP = re.compile(
    r"""(?<![^\W_])(?:errors?|returns?|returned|response|responded|answered|got|received|with
            |failed|failure)[\s:=#"'(-]{1,3}\0
      | \0[ :,)\]-]{0,3}(?:errors?|response|status|bad|unauthorized|payment|forbidden|not|method
            |request|conflict|gone|too|unprocessable|locked|internal|gateway|service|server)\b
      | [(\[]\0[)\]]
      | (?:^|:[ ])\0$
    """,
    re.VERBOSE,
)
_HTTP_ERRORS = frozenset(
    {str(int(status)) for status in HTTPStatus if status >= 400}
    | {str(code) for code in (420, 499, *range(520, 531))}
)


def _words(text: str, start: int, end: int) -> Iterator[str]:
    for word in _WORD.finditer(text, start, end):
        yield text[start : word.start()]
        yield _word(word)
        start = word.end()
    yield text[start:end]


def _word(match: re.Match[str]) -> str:
    kind, word = match.lastgroup, match.group()
    if kind == "word":
        return _vocabulary(word)
    if kind == "kept" or (kind == "num" and _names_the_problem(match)):
        return word
    return f"<{kind}>"


def _names_the_problem(match: re.Match[str]) -> bool:
    number, text = match.group(), match.string
    if not number.isascii() or not number.isdecimal() or len(number) > 5:
        return False
    start, end = match.span()
    window = f"{text[max(0, start - 16) : start]}\0{text[end : end + 24]}"
    return bool(_CODE.search(window) or (number in _HTTP_ERRORS and _HTTP.search(window)))


_HEXADECIMAL = re.compile(r"0x[0-9a-f]++|(?=[a-f]*+\d)[0-9a-f]{8,}+")
_NUMBERED = re.compile(r"([^\W\d_]{2,})(\d++)")  # node12, worker3
# s3, 5xx, k8s
_SHORT_NAME = re.compile(r"[a-z]{1,2}\d|\d{1,2}[a-z]{1,2}|[a-z]{1,4}\d{1,2}[a-z]{1,4}")
_DIGIT_NAMES = """
    ec2 md5 sha1 sha256 sha512 utf8 utf16 base64 x509 ipv4 ipv6 oauth2 http2 http3 log4j2 x86
    amd64 arm64 x64 int32 int64 float32 float64 ntlmv2 smb2 p50 p90 p95 p99
"""
_NAMES_WITH_DIGITS = frozenset(_DIGIT_NAMES.split())


@lru_cache(maxsize=4096)
def _vocabulary(word: str) -> str:
    """A word as itself, a name with a number as the name, anything random as `<id>`."""
    if len(word) > 64:  # no word of any language an operator reads
        return "<id>"
    if not any(map(str.isdigit, word)):
        return respelled(word)
    if word in _NAMES_WITH_DIGITS:
        return word
    if _HEXADECIMAL.fullmatch(word):
        return "<id>"
    if _SHORT_NAME.fullmatch(word):
        return word
    if numbered := _NUMBERED.fullmatch(word):
        return f"{respelled(numbered[1])}<num>" if len(numbered[2]) <= 9 else "<id>"
    return "<id>"


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
