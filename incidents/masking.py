"""The only place that replaces what changes in a text by placeholders and keeps what names a problem.

The time is linear in the text: every expression is bounded or possessive, and no decision looks
further than one piece of text and its two neighbours.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from incidents import values
from incidents.spelling import respelled
from incidents.wording import fold

TEXT_LIMIT = 512  # characters kept: what differs only after that is the same failure
NOISE = "<noise>"

_PIECE = re.compile(r"""(?:<[a-z]{2,8}>|[^\s<>()\[\]{}"',;|])++""")
_SPACED = (  # how a masked text is punctuated
    (re.compile(r" ?\( ?"), " ("),
    (re.compile(r" ?\)(?=[^\W_])"), ") "),
    (re.compile(r" \)"), ")"),
    (re.compile(r" ?\.{3,}+ ?"), " ... "),  # dots that lead the eye, or trail off
    # Numbers tied together are one value, and so is a value said twice: 2048 bytes (2 KB).
    (re.compile(r"<num>(?:[-:._/#~@+*]{1,2}+<num>)++"), "<num>"),
    (re.compile(r"<(?:num|id)>(?:[-:._/#~@+*]{1,2}+<(?:num|id)>)++"), "<id>"),
    (re.compile(r"(<(?:size|duration)>) \(\1\)"), r"\1"),
    (re.compile(r"(<[a-z]{2,8}>)(?:(?: ?[,;/|&] ?| and | or | )\1)++"), r"\1"),  # a list of values
)


def masked(text: str) -> str:
    """One round of folding and masking (`signature.normalise` finds its fixed point)."""
    pieces, size = [], 0
    for piece in _pieces(_without_quoted(values.SPAN.sub(_placeholder, fold(text)))):
        pieces.append(piece)
        size += len(piece)
        if size > TEXT_LIMIT:  # the rest would be cut off below
            break
    line = "".join(pieces)
    for pattern, replacement in _SPACED:
        line = pattern.sub(replacement, line)
    return _cut(_unrepeated(line.strip())).rstrip(" .,;:!?")


def _placeholder(value: re.Match[str]) -> str:
    return f"<{value.lastgroup}>"


def _unrepeated(line: str) -> str:
    """A list of things of one kind is as long as it happens to be: `blk_<num> blk_<num>`."""
    kept: list[str] = []
    for word in line.split(" "):
        if kept and "<" in word and word.rstrip(",;") == kept[-1].rstrip(",;"):
            kept[-1] = word
        else:
            kept.append(word)
    return " ".join(kept)


def _cut(line: str) -> str:
    if len(line) <= TEXT_LIMIT:
        return line
    space = line.rfind(" ", 1, TEXT_LIMIT)
    return line[: space if space > 0 else TEXT_LIMIT]


# --- what stands in quotes --------------------------------------------------------------------

_ASSIGNED = re.compile(r"""=(["'])[^"']{1,128}+\1(?!\w)""")
_QUOTED = re.compile(r"""(?<!\w)(["'])([\w.$@#-]{1,64}+(?: [\w.$@#-]{1,32}+){0,3}+)\1(?!\w)""")


def _without_quoted(text: str) -> str:
    """A few quoted words are a name, unless they are a key, a message or say what went wrong."""
    if '"' not in text and "'" not in text:
        return text
    return _QUOTED.sub(_quoted, _ASSIGNED.sub(_assigned, text))


def _assigned(match: re.Match[str]) -> str:
    is_problem = values.introduces_a_problem(_before(match) + "=")
    return match[0] if is_problem else "=<name>"


def _quoted(match: re.Match[str]) -> str:
    quote, word = match.groups()
    before, after = _before(match).rstrip(), match.string[match.end() : match.end() + 1]
    is_key = before[-1:] in {"{", ","} and after == ":"
    is_message = before[-1:] == ":" and " " in word
    if (
        is_key
        or is_message
        or values.introduces_a_problem(before)
        or values.is_about_a_problem(word)
    ):
        return match[0]
    return f"{quote}<name>{quote}" if any(map(str.isalnum, word)) else match[0]


def _before(match: re.Match[str]) -> str:
    return match.string[max(0, match.start() - 24) : match.start()]


# --- pieces and words -------------------------------------------------------------------------


def _pieces(text: str) -> Iterator[str]:
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
    shape, key = _shape(core), core.find("=", 0, 64) + 1
    if shape is None and key > 1:
        yield from _words(text, start, start + key)
        is_id = values.introduces_an_id(core[:key]) and core[key:].isalpha()
        start, core = start + key, core[key:]
        shape = "id" if is_id else _shape(core)
    if shape is None:
        yield from _words(text, start, end)
    else:
        yield f"<{shape}>"
        yield text[start + len(core) : end]


@lru_cache(maxsize=4096)
def _shape(core: str) -> str | None:
    if found := values.SHAPE.fullmatch(core):
        return found.lastgroup
    return "host" if values.is_host(core) else None


def _words(text: str, start: int, end: int) -> Iterator[str]:
    for word in values.WORD.finditer(text, start, end):
        yield text[start : word.start()]
        yield _word(word)
        start = word.end()
    yield text[start:end]


def _word(match: re.Match[str]) -> str:
    kind, word = match.lastgroup, match.group()
    if kind == "word":
        return _vocabulary(word)
    if kind == "kept" or (kind == "num" and values.names_the_problem(match)):
        return word
    return f"<{kind}>"


_HEXADECIMAL = re.compile(r"0x[0-9a-f]++|(?=[a-f]*+\d)[0-9a-f]{8,}+")
_NUMBERED = re.compile(r"([^\W\d_]{2,})(\d++)")  # node12, worker3
_SHORT_NAME = re.compile(r"\dxx|[a-z]\d{1,2}[a-z]|[a-z]{3}\d[a-z]")  # 5xx, k8s, log4j
_DIGIT_NAMES = """
    ec2 md5 sha1 sha256 sha512 utf8 utf16 base64 x509 ipv4 ipv6 oauth2 http2 http3 log4j2 x86
    amd64 arm64 x64 int32 int64 float32 float64 ntlmv2 smb2 p50 p90 p95 p99 s3 r2 h2 v1 v2 v3 v4
    v5 v6 2d 3d 2fa 3ds aes128 aes256 rs256 hs256 es256 ed25519 crc32
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
