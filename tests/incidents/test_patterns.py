"""Patterns that people type: globs and regular expressions, linear whatever they are, refused in words."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incidents.analysis import patterns
from incidents.analysis.outcome import Matcher, faults
from incidents.analysis.patterns import PatternRefused, fits
from incidents.states import Outcome

# Expressions that take a backtracking engine longer than anybody waits.
HOSTILE = json.loads((Path(__file__).parents[1] / "data" / "redos_patterns.json").read_text())
LONG = "a" * 8000 + "!"
UNREADABLE = [
    "(?P<n>a)(?P=n)*",
    "(?=(a+))\\1$",
    "(?<!a{0,100})b",
    "a{1,65535}{1,65535}",
    "(",
    "[z-a]",
]


def refusal(pattern: str) -> str:
    try:
        patterns.demand(pattern)
    except PatternRefused as refused:
        return str(refused)
    return ""


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_a_hostile_pattern_is_refused_or_answers_at_once(number: int) -> None:
    # a backtracking engine would still be at it when the machine is switched off
    expression = HOSTILE[number]
    told = refusal(f"/(?:{expression})never/")
    assert not told or told.startswith(("This pattern cannot be read: ", "At most 1000 characters"))
    assert fits(LONG, f"/(?:{expression})never/") is False
    assert fits(LONG, expression) in (True, False)


def test_most_of_the_hostile_ones_are_answered() -> None:
    assert sum(not refusal(f"/{expression}/") for expression in HOSTILE) >= len(HOSTILE) // 2


@pytest.mark.parametrize("expression", UNREADABLE)
def test_what_cannot_be_linear_or_read_is_refused_at_its_field(expression: str) -> None:
    found = faults(Matcher(Outcome.FAILURE, error_code=f"/{expression}/"))
    assert list(found) == ["error_code"]
    assert found["error_code"].startswith("This pattern cannot be read: ")


@pytest.mark.parametrize(
    ("pattern", "text", "holds"),
    [
        ("/^card_(declined|expired)$/", "card_expired", True),
        ("/^card_(declined|expired)$/", "card_expired_2", False),
        ("/DECLINED/", "card_declined", True),
        (r"/\D\d{2}$/", "e42", True),
        (r"/^\D{2}/", "e42", False),
        # one slash, or two with nothing between them, are no expression
        ("/", "/", True),
        ("//", "//", True),
        ("a/b", "a/b", True),
        # in a glob everything else stands for itself
        ("a.b", "axb", False),
        ("a+(b)", "a+(b)", True),
        ("??", "ß", False),
        ("[!a]b", "cb", True),
        ("[!a]b", "ab", False),
        ("[^a]b", "^b", True),
        ("[]x]", "]", True),
        (r"[\d]", "7", False),
        ("[[:alpha:]]", "b", False),
        ("a*", "a\nb", True),
        ("a", "a\n", False),
        ("*!", "!" + "a" * 8192 + "!", False),  # what stands so late is not looked at
    ],
)
def test_a_pattern_holds(pattern: str, text: str, holds: bool) -> None:
    assert fits(text, pattern) is holds


@given(st.text(), st.text(st.characters(categories=["L", "N", "P", "S", "Cs", "Cc"])))
def test_no_text_and_no_pattern_may_raise(text: str, pattern: str) -> None:
    assert fits(text, pattern) in (True, False)
    assert fits(pattern, f"/{text}/") in (True, False)
