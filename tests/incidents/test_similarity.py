"""How alike two failures are: symmetric, between 0 and 1, and honest about what differs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incidents.analysis.similarity import Difference, likeness, rarity

CAPTURE = {
    "workflow": "billing",
    "vendor": "stripe",
    "code": "payment_timeout",
    "template": "capture timed out after <num> s",
}
COMPONENTS = st.dictionaries(
    st.sampled_from(["workflow", "vendor", "code", "template", "message", "event_type", "step"]),
    st.sampled_from(["", "a", "b", "a b", "b a", "<*>", "a <*> c"]) | st.text(max_size=20),
)


def test_a_failure_is_wholly_like_itself() -> None:
    found = likeness(CAPTURE, CAPTURE)
    assert (found.score, found.same, found.different) == (1.0, tuple(CAPTURE), ())


def test_it_names_what_differs_with_both_values() -> None:
    found = likeness(CAPTURE, CAPTURE | {"code": "card_declined"})
    assert found.different == (Difference("code", "payment_timeout", "card_declined"),)
    assert found.same == ("workflow", "vendor", "template")


@pytest.mark.parametrize(
    ("nearer", "farther"),
    [
        # what went wrong weighs more than where
        ({"workflow": "refunds"}, {"code": "card_declined"}),
        ({"vendor": "adyen"}, {"template": "no route to host"}),
        # texts are compared by their words
        ({"template": "capture timed out after <num> ms"}, {"template": "no route to host"}),
        ({"vendor": "adyen"}, {"vendor": "adyen", "workflow": "refunds"}),
    ],
)
def test_nearer_is_nearer(nearer: dict[str, str], farther: dict[str, str]) -> None:
    near, far = (likeness(CAPTURE, CAPTURE | other).score for other in (nearer, farther))
    assert 0 <= far < near < 1


def test_the_same_words_in_another_order_are_not_the_same_text() -> None:
    assert likeness({"template": "a b"}, {"template": "b a"}).score < 1


def test_wildcards_are_nothing_in_common() -> None:
    assert likeness({"template": "<*> lost"}, {"template": "<*> found"}).score == 0


def test_what_neither_has_says_nothing() -> None:
    bare = {"workflow": "billing", "vendor": "", "code": "boom"}
    assert likeness(bare, {"workflow": "billing", "code": "boom"}).score == 1.0
    assert likeness({}, {"vendor": ""}).score == 0.0


@given(COMPONENTS, COMPONENTS)
def test_it_is_symmetric_and_between_none_and_all(
    one: dict[str, str], other: dict[str, str]
) -> None:
    here, there = likeness(one, other), likeness(other, one)
    assert here.score == there.score
    assert 0.0 <= here.score <= 1.0
    assert set(here.same) == set(there.same)
    assert (here.score == 1.0) == bool(here.same and not here.different)


def test_words_that_all_texts_have_tell_less_than_rare_ones() -> None:
    here = {"template": "request failed quota gone"}
    rare = {"template": "quota gone today sadly"}
    common = {"template": "request failed today sadly"}
    texts = [*(f"request failed {word}" for word in ("a", "b", "c", "d")), here["template"]]
    weights = rarity(texts)
    near, far = likeness(here, rare, weights), likeness(here, common, weights)
    assert near.score > far.score
    assert near.shared == ("gone", "quota")
