"""The only place that says how alike two failures are, and in what they differ."""

from collections.abc import Mapping
from dataclasses import dataclass

Components = Mapping[str, str]  # name -> value; a template by its text, not by its key

# What went wrong says more than where.
_WEIGHTS = {"workflow": 2.0, "vendor": 2.0, "code": 3.0, "template": 4.0}
_WEIGHT_OF_OTHERS = 1.0
_TEXTS = frozenset({"template", "message"})  # compared by their words
_ALMOST = 0.95  # texts of the same words in another order are not the same text
_WORDS_COMPARED = 200
_WILDCARDS = frozenset({"<*>", "<value>"})


@dataclass(frozen=True)
class Difference:
    component: str
    here: str
    there: str


@dataclass(frozen=True)
class Likeness:
    """`score` is 1 when no component differs, 0 when nothing is shared."""

    score: float
    same: tuple[str, ...]
    different: tuple[Difference, ...]


def likeness(here: Components, there: Components) -> Likeness:
    """Symmetric; a component that neither has says nothing."""
    names = [name for name in {**here, **there} if here.get(name) or there.get(name)]
    pairs = {name: (here.get(name, ""), there.get(name, "")) for name in names}
    weights = {name: _WEIGHTS.get(name, _WEIGHT_OF_OTHERS) for name in names}
    shared = sum(weights[name] * _degree(name, *pair) for name, pair in pairs.items())
    return Likeness(
        score=round(shared / sum(weights.values()), 3) if names else 0.0,
        same=tuple(name for name, (one, other) in pairs.items() if one == other),
        different=tuple(
            Difference(name, one, other) for name, (one, other) in pairs.items() if one != other
        ),
    )


def _degree(name: str, one: str, other: str) -> float:
    if one == other:
        return 1.0
    return min(_ALMOST, _overlap(one, other)) if name in _TEXTS else 0.0


def _overlap(one: str, other: str) -> float:
    """Jaccard's index of the words: shared of all."""
    words, others = _words(one), _words(other)
    return len(words & others) / len(words | others) if words and others else 0.0


def _words(text: str) -> set[str]:
    return set(text.casefold().split()[:_WORDS_COMPARED]) - _WILDCARDS
