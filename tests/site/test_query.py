"""The query language: what is read, what is refused and where, and that nothing else ever happens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awfdrs_site.lib import query
from awfdrs_site.lib.query import Query, QueryError


def read(text: str) -> Query | QueryError:
    try:
        return query.parse(text)
    except QueryError as wrong:
        return wrong


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("is:open", [("is", "=", "open")]),
        ("severity:>=high", [("severity", ">=", "high")]),
        ("-rule:*", [("-rule", "*", "*")]),
        ("status:open,escalated", [("status", "=", "open"), ("status", "=", "escalated")]),
        ('"timed out"', [("", "=", "timed out")]),
        ('-"timed out"', [("-", "=", "timed out")]),
        ('vendor:"a b",c', [("vendor", "=", "a b"), ("vendor", "=", "c")]),
        (r'title:"say \"no\""', [("title", "=", 'say "no"')]),
        ("INC-12 timed", [("", "=", "INC-12"), ("", "=", "timed")]),
        ("since:2026-01-19T10:00Z", [("since", "=", "2026-01-19T10:00Z")]),
        ("Sev:CRIT", [("sev", "=", "CRIT")]),
        ("a - b", [("", "=", "a"), ("", "=", "-"), ("", "=", "b")]),
        ("error:", [("error", None, None)]),
        ("", []),
        ("   ", []),
    ],
)
def test_a_query_reads_as_its_conditions(
    text: str, terms: list[tuple[str, str | None, str | None]]
) -> None:
    found: list[tuple[str, str | None, str | None]] = []
    for term in query.parse(text).terms:
        name = f"{'-' if term.is_negated else ''}{term.key}"
        found += [(name, "*" if v.is_any else v.comparison, v.text) for v in term.values]
        if not term.values:
            found.append((name, None, None))
    assert found == terms


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ('is:open "timed', 9, "This quote is not closed."),
        ('vendor:"x', 8, "This quote is not closed."),
        ("severity:high,", 15, "Expected another value after the comma."),
        ("severity:a,,b", 12, "Expected another value after the comma."),
        ("  events:>=", 12, "Expected a value after >=."),
        ('"a"b', 4, "Expected a space or a comma here."),
        ('a:b"c"', 4, "Expected a space or a comma here."),
        ("a\x00b", 2, "This is a control character."),
        ("a\ud800", 2, "This is a control character."),
        ("x" * 1001, 1001, "A query has at most 1,000 characters."),
        (f"a {'x' * 201}", 3, "A value has at most 200 characters."),
        ("a " * 31, 61, "A query has at most 30 conditions."),
        (f"k:{','.join('a' * 61)}", 123, "A query has at most 60 values."),
    ],
)
def test_an_error_names_its_column_and_what_was_expected(
    text: str, column: int, words: str
) -> None:
    with pytest.raises(QueryError) as raised:
        query.parse(text)
    assert (raised.value.column, raised.value.message) == (column, words)


@given(st.text() | st.text(alphabet='ab:",-*<>= \\é\u2003'))
def test_any_text_is_read_or_refused_at_a_column_of_its_own(text: str) -> None:
    parsed = read(text)
    if isinstance(parsed, QueryError):
        assert 1 <= parsed.column <= len(text) + 1
        return
    for term in parsed.terms:
        again = query.parse(parsed.written(term)).terms
        assert [(t.key, t.is_negated, len(t.values)) for t in again] == [
            (term.key, term.is_negated, len(term.values))
        ]
    if parsed.terms:
        shorter = query.parse(parsed.without(parsed.terms[0]))
        assert len(shorter.terms) == len(parsed.terms) - 1


@given(st.text(min_size=1, max_size=100))
def test_whatever_a_token_is_made_of_is_read_back(text: str) -> None:
    written = query.added("is:open", query.token("code", text), query.words(text))
    parsed = read(written)
    if isinstance(parsed, QueryError):
        assert parsed.message == "This is a control character."
        return
    _, code, words = parsed.terms
    assert (code.values[0].text, words.values[0].text) == (text, text)


@given(st.text(alphabet='ab:",-*<>= ', max_size=30), st.integers(-5, 40))
def test_what_is_being_typed_is_found_in_any_text(text: str, at: int) -> None:
    found = query.fragment(text, at)
    assert 0 <= found.start <= found.end <= len(text)


@pytest.mark.parametrize(
    ("text", "key", "typed"),
    [
        ("is:open sev", "", "sev"),
        ("sev:cr", "sev", "cr"),
        ("-vendor:st", "vendor", "st"),
        ('vendor:a,"b c",st', "vendor", "st"),
        ("severity:>=h", "severity", "h"),
        ('"a b', "", "a b"),
        ("is:open ", "", ""),
    ],
)
def test_the_fragment_is_what_stands_before_the_cursor(text: str, key: str, typed: str) -> None:
    found = query.fragment(text, len(text))
    assert (found.key, found.typed) == (key, typed)
