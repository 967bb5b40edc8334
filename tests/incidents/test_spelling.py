"""M11: a slip of the finger makes no other failure, a word of its own does."""

import pytest

from incidents import spelling


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("faiure", "failure"),
        ("confict", "conflict"),
        ("intergation", "integration"),
        ("connecttion", "connection"),
        ("dependancy", "dependency"),
        ("permisson", "permission"),
    ],
)
def test_one_slip_is_forgiven(typed: str, meant: str) -> None:
    assert spelling.respelled(typed) == meant


@pytest.mark.parametrize(
    "word", ["failures", "connections", "interval", "reused", "valid", "conversion", "mission"]
)
def test_a_word_of_its_own_is_left_alone(word: str) -> None:
    assert spelling.respelled(word) == word


def test_the_vocabulary_reads_as_itself() -> None:
    for word in spelling.VOCABULARY:
        assert spelling.respelled(word) == word
        assert spelling.respelled(word[1:]) in {word, word[1:]}
