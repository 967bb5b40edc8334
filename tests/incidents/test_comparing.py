"""First bad against last good: what came, went and changed, whatever the payloads hold."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incidents.comparing import DEEPEST, MOST, Difference, differences

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)
PAYLOADS = st.dictionaries(st.text(max_size=6), JSON, max_size=6)


def deep(n: int) -> dict[str, Any]:
    made: dict[str, Any] = {"end": 1}
    for _ in range(n):
        made = {"a": made}
    return made


@pytest.mark.parametrize(
    ("good", "bad", "found"),
    [
        ({}, {}, []),
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [("a", "changed", "1", "2")]),
        ({"a": 1}, {"a": "1"}, [("a", "changed", "1", '"1"')]),
        ({"a": None}, {}, [("a", "went", "null", "")]),
        ({}, {"a": {"b": [1]}}, [("a.b[0]", "came", "", "1")]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": 2}}, [("a.b", "changed", "1", "3")]),
        ({"a": [1, 2]}, {"a": [1]}, [("a[1]", "went", "2", "")]),
        ({"a": {}}, {"a": []}, [("a", "changed", "{}", "[]")]),
        ({"a": True}, {"a": 1}, [("a", "changed", "true", "1")]),
        ({"a.b": 1}, {"a": {"b": 1}}, [('"a.b"', "went", "1", ""), ("a.b", "came", "", "1")]),
        ({"a": "x" * 400}, {}, [("a", "went", '"' + "x" * 299 + "…", "")]),
    ],
)
def test_what_differs_is_named_by_its_place(good: Any, bad: Any, found: list[Any]) -> None:
    assert differences(good, bad) == tuple(Difference(*one) for one in found)


def test_hostile_payloads_are_bounded() -> None:
    many = {f"k{n}": n for n in range(5_000)}
    assert len(differences({}, many)) == MOST
    ended = differences(deep(500), deep(DEEPEST - 2))
    assert 0 < len(ended) <= MOST
    assert differences({"a": "<script>"}, {})[0].good == '"<script>"'  # the template escapes


@given(PAYLOADS, PAYLOADS)
def test_any_two_payloads_can_be_compared(good: dict[str, Any], bad: dict[str, Any]) -> None:
    turned = {"came": "went", "went": "came", "changed": "changed"}
    there, back = differences(good, bad), differences(bad, good)
    assert {(one.path, one.kind) for one in there} == {(b.path, turned[b.kind]) for b in back}
    assert differences(good, good) == ()
