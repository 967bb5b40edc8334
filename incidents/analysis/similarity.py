"""The only place that says how alike two failures are, in what they differ, and which words they share.

Texts are compared by TF-IDF and the cosine: Salton and Buckley, "Term-weighting approaches in
automatic text retrieval", Information Processing & Management 24 (1988).
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

Components = Mapping[str, str]  # name -> value; a template by its text, not by its key

# What went wrong says more than where.
_WEIGHTS = {"workflow": 2.0, "vendor": 2.0, "code": 3.0, "template": 4.0}
_WEIGHT_OF_OTHERS = 1.0
_TEXTS = frozenset({"template", "message"})  # compared by their words
_ALMOST = 0.95  # texts of the same words in another order are not the same text
_WORDS_COMPARED = 200
_WILDCARDS = frozenset({"<*>", "<value>"})
_TERMS = 5  # shared words that are named

Rarity = Mapping[str, float]  # word -> its weight; a word that is not in it weighs most


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
    shared: tuple[str, ...] = ()  # words of both texts, the rarest first


def rarity(texts: Iterable[str]) -> Rarity:
    """Of each word by how few of the texts have it: what all say tells none apart."""
    found = [_words(text).keys() for text in texts]
    among = Counter(word for words in found for word in words)
    return {word: math.log((1 + len(found)) / n) for word, n in among.items()}


def likeness(here: Components, there: Components, rarity: Rarity | None = None) -> Likeness:
    """Symmetric; a component that neither has says nothing. Without `rarity` all words weigh the same."""
    pairs = _pairs(here, there)
    return Likeness(
        score=score(here, there, rarity),
        same=tuple(name for name, (one, other) in pairs.items() if one == other),
        different=tuple(
            Difference(name, one, other) for name, (one, other) in pairs.items() if one != other
        ),
        shared=_shared(pairs, rarity or {}),
    )


def score(here: Components, there: Components, rarity: Rarity | None = None) -> float:
    """How alike they are, alone: for those many of which few are shown."""
    pairs = _pairs(here, there)
    weights = {name: _WEIGHTS.get(name, _WEIGHT_OF_OTHERS) for name in pairs}
    shared = sum(weights[name] * _degree(name, *pair, rarity or {}) for name, pair in pairs.items())
    return round(shared / sum(weights.values()), 3) if pairs else 0.0


def _pairs(here: Components, there: Components) -> dict[str, tuple[str, str]]:
    names = [name for name in {**here, **there} if here.get(name) or there.get(name)]
    return {name: (here.get(name, ""), there.get(name, "")) for name in names}


def _degree(name: str, one: str, other: str, rarity: Rarity) -> float:
    if one == other:
        return 1.0
    return min(_ALMOST, _cosine(one, other, rarity)) if name in _TEXTS else 0.0


def _cosine(one: str, other: str, rarity: Rarity) -> float:
    words, others = _words(one), _words(other)
    both = words.keys() & others.keys()
    if not both:
        return 0.0
    weights = {word: _weight(word, rarity) for word in words.keys() | others.keys()}
    product = math.fsum(words[word] * others[word] * weights[word] ** 2 for word in both)
    lengths = [
        math.sqrt(math.fsum((n * weights[word]) ** 2 for word, n in counts.items()))
        for counts in (words, others)
    ]
    return product / (lengths[0] * lengths[1])


def _weight(word: str, rarity: Rarity) -> float:
    return rarity.get(word) or max(rarity.values(), default=1.0) or 1.0


def _shared(pairs: Mapping[str, tuple[str, str]], rarity: Rarity) -> tuple[str, ...]:
    texts = [pair for name, pair in pairs.items() if name in _TEXTS]
    both = {word for one, other in texts for word in _words(one).keys() & _words(other).keys()}
    said = [word for word in both if "<" not in word]  # a masked value is nobody's word
    return tuple(sorted(said, key=lambda word: (-_weight(word, rarity), word))[:_TERMS])


@lru_cache(maxsize=2000)  # one page asks thrice of each
def _words(text: str) -> Counter[str]:
    """How often each is said; what varies is none. Nobody changes the answer."""
    words = Counter(text.casefold().split()[:_WORDS_COMPARED])
    for wildcard in _WILDCARDS:
        words.pop(wildcard, None)
    return words
