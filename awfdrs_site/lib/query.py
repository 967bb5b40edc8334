"""The only place that reads the query language: text to a frozen tree, or one error that names its column.

It knows how a query is written, not which keys there are: `severity:>=high -vendor:stripe,adyen "timed out"`.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput, UnexpectedToken

LENGTH = 1000  # characters of a query
TERMS = 30
VALUES = 60  # of all terms together
VALUE_LENGTH = 200

_GRAMMAR = r"""
start: (term (_WS term)*)?
term: NOT? (field | QUOTED | WORD)
field: KEY (value (_COMMA value)*)?
value: OP? (QUOTED | VALUE) | STAR

NOT.5: /-(?=\S)/
KEY.4: /[A-Za-z][A-Za-z_]*:/
QUOTED.4: /"(?:[^"\\]|\\.)*"/
OP.4: />=|<=|>|<|=/
STAR.4: /\*(?=[\s,]|\Z)/
_COMMA.4: ","
VALUE.3: /[^\s,"]+/
WORD.1: /[^\s"]\S*/
_WS.1: /\s+/
"""
_PLAIN = re.compile(r'[^\s,"<>=*][^\s,"*]*')
_SAYS_A_KEY = re.compile(r"-|[A-Za-z][A-Za-z_]*:")
_ESCAPED = re.compile(r"\\(.)")
_FRAGMENT = re.compile(
    r"""
    (?P<not>-?)
    (?:(?P<key>[A-Za-z][A-Za-z_]*):(?P<before>(?:[^\s,"]*,|"[^"]*",)*)(?P<op>>=|<=|>|<|=|))?
    (?P<typed>"[^"]*|[^\s,"]*)\Z
    """,
    re.VERBOSE,
)


class QueryError(ValueError):
    """What is wrong, in words for people, and where: columns count from 1."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.message, self.column = message, column

    def __str__(self) -> str:
        return f"Column {self.column}: {self.message}"


@dataclass(frozen=True)
class Value:
    """`>=high`: `comparison` is one of = < <= > >=; `is_any` is a lone `*`."""

    text: str
    column: int
    comparison: str = "="
    is_any: bool = False
    is_quoted: bool = False


@dataclass(frozen=True)
class Term:
    """One condition. Without a key its only value is text to search for; `start` and `end` cut it from the query."""

    key: str
    values: tuple[Value, ...]
    column: int
    start: int
    end: int
    is_negated: bool = False


@dataclass(frozen=True)
class Query:
    text: str
    terms: tuple[Term, ...]

    def without(self, term: Term) -> str:
        """The query one term shorter."""
        return added(self.text[: term.start], self.text[term.end :].strip())

    def written(self, term: Term) -> str:
        return self.text[term.start : term.end]


@dataclass(frozen=True)
class Fragment:
    """What is being typed where the cursor stands: `typed` begins at `start`. No key yet is ""."""

    key: str
    typed: str
    start: int
    end: int


def parse(text: str) -> Query:
    """Raises QueryError, and nothing else, for whatever cannot be meant."""
    _refuse_what_is_no_text(text)
    lead = len(text) - len(text.lstrip())
    try:
        tree = _parser().parse(text.strip())
    except UnexpectedInput as unexpected:
        raise _explained(text, lead, unexpected) from None
    terms = tuple(_term(found, lead) for found in tree.children if isinstance(found, Tree))
    _refuse_too_much(terms)
    return Query(text, terms)


def token(key: str, value: str, *, comparison: str = "", is_negated: bool = False) -> str:
    """How a condition is written, with quotes where they are needed."""
    said = value if value == "*" or _PLAIN.fullmatch(value) else quoted(value)
    return f"{'-' if is_negated else ''}{key}:{comparison}{said}"


def words(text: str) -> str:
    """How a text is written so that it is searched for as it stands."""
    is_plain = '"' not in text and not re.search(r"\s", text) and not _SAYS_A_KEY.match(text)
    return text if is_plain else quoted(text)


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def added(text: str, *tokens: str) -> str:
    """The query with these conditions behind its own."""
    return " ".join((text.strip(), *tokens)).strip()


def fragment(text: str, at: int) -> Fragment:
    """What stands before the cursor, as far as it is being typed; total on any text."""
    before = text[: max(0, at)][:LENGTH]
    start = _begins(before)
    found = _FRAGMENT.match(before, start)
    if found is None:
        return Fragment("", "", len(before), len(before))
    typed = found["typed"]
    begins = found.start("typed") if found["key"] else start + len(found["not"])
    return Fragment(found["key"] or "", typed.lstrip('"'), begins, len(before))


def _begins(before: str) -> int:
    """Where the last word starts: after the last space that no quotes enclose."""
    is_open, start = False, 0
    for place, letter in enumerate(before):
        if letter == '"':
            is_open = not is_open
        elif letter.isspace() and not is_open:
            start = place + 1
    return start


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", lexer="contextual")


def _refuse_what_is_no_text(text: str) -> None:
    if len(text) > LENGTH:
        raise QueryError(f"A query has at most {LENGTH:,} characters.", LENGTH + 1)
    for place, letter in enumerate(text):
        if unicodedata.category(letter) in ("Cc", "Cs"):
            raise QueryError("This is a control character.", place + 1)


def _refuse_too_much(terms: tuple[Term, ...]) -> None:
    if len(terms) > TERMS:
        raise QueryError(f"A query has at most {TERMS} conditions.", terms[TERMS].column)
    values = [value for term in terms for value in term.values]
    if len(values) > VALUES:
        raise QueryError(f"A query has at most {VALUES} values.", values[VALUES].column)
    for value in values:
        if len(value.text) > VALUE_LENGTH:
            raise QueryError(f"A value has at most {VALUE_LENGTH} characters.", value.column)


def _term(tree: "Tree[Token]", lead: int) -> Term:
    tokens = list(_tokens(tree))
    said = tree.children[-1]
    start, end = _place(tokens[0]) + lead, _ends(tokens[-1]) + lead
    is_negated = tokens[0].type == "NOT"
    column = _place(tokens[1] if is_negated else tokens[0]) + lead + 1
    if isinstance(said, Token):
        return Term("", (_value([said], lead),), column, start, end, is_negated)
    key, *rest = said.children
    values = tuple(_value(list(_tokens(one)), lead) for one in rest if isinstance(one, Tree))
    return Term(str(key)[:-1].lower(), values, column, start, end, is_negated)


def _value(tokens: list[Token], lead: int) -> Value:
    said = tokens[-1]
    is_quoted = said.type == "QUOTED"
    return Value(
        text=_ESCAPED.sub(r"\1", said[1:-1]) if is_quoted else str(said),
        column=_place(tokens[0]) + lead + 1,
        comparison=str(tokens[0]) if len(tokens) > 1 else "=",
        is_any=said.type == "STAR",
        is_quoted=is_quoted,
    )


def _tokens(tree: "Tree[Token]") -> Iterator[Token]:
    for child in tree.children:
        if isinstance(child, Tree):
            yield from _tokens(child)
        else:
            yield child


def _place(token: Token) -> int:
    return token.start_pos or 0


def _ends(token: Token) -> int:
    return _place(token) + len(token)


def _explained(text: str, lead: int, unexpected: UnexpectedInput) -> QueryError:
    """What was expected where reading stopped."""
    place = unexpected.pos_in_stream or 0
    if isinstance(unexpected, UnexpectedToken):
        place = unexpected.token.start_pos or 0
        if unexpected.token.type == "$END":
            place = len(text.strip())
    before, here = text[: lead + place], text[lead + place : lead + place + 1]
    return QueryError(_expected(before, here), lead + place + 1)


def _expected(before: str, here: str) -> str:
    last = before[-1:]
    if here == '"' and (not last or last.isspace() or last in "-:,<>="):
        return "This quote is not closed."
    if last == ",":
        return "Expected another value after the comma."
    if last and last in "<>=":
        sign = before.rpartition(":")[2]
        return f"Expected a value after {sign}."
    if last == ":":
        return "Expected a value here; put quotes around text with special characters."
    return "Expected a space or a comma here."
