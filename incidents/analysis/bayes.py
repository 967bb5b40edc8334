"""The only place that learns from labels people confirmed: naive Bayes over the words and fields of a failure.

McCallum and Nigam, "A comparison of event models for naive Bayes text classification" (1998): the
multinomial model. It is too sure of itself, so its scores are cooled by the temperature that fits
the labels best when each is held out in turn: Guo and others, "On calibration of modern neural
networks" (2017), section 4.2.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from incidents.analysis.facts import Facts
from incidents.signature import normalise

LEAST = 5  # labels of a category, before it is guessed
VOTES = 4  # features named
_ALPHA = 0.3  # what was never seen is rare, not impossible
_TEMPERATURES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
_HELD_OUT = 200  # labels that the temperature is found by
_WORDS = 60
_WORD = re.compile(r"[a-z][a-z0-9]{1,30}")
_WILDCARDS = re.compile(r"<[a-z*]{1,8}>")

Features = tuple[str, ...]
Labelled = Sequence[tuple[Features, str]]


@dataclass(frozen=True)
class Guess:
    """`confidence` is cooled; `votes` are the features that spoke most for it."""

    label: str
    confidence: float
    n: int  # confirmed labels of it
    votes: tuple[str, ...]


@dataclass(frozen=True)
class Model:
    labels: Counter[str]
    words: Mapping[str, Counter[str]]
    temperature: float = 1.0

    @cached_property
    def vocabulary(self) -> int:
        return len({word for counts in self.words.values() for word in counts}) + 1

    @cached_property
    def totals(self) -> dict[str, int]:
        return {label: sum(counts.values()) for label, counts in self.words.items()}


def features(facts: Facts, *, rule: str) -> Features:
    """The words of its message once each, its fields, and what the rules make of it."""
    text = _WILDCARDS.sub(" ", normalise(facts.error_message))
    words = dict.fromkeys(_WORD.findall(f"{text} {facts.step.casefold()}"))
    fields = {
        "code": facts.error_code,
        "event": facts.event_type,
        "vendor": facts.vendor,
        "workflow": facts.workflow,
        "rule": rule,
    }
    named = (f"{name}:{value.casefold()[:100]}" for name, value in fields.items() if value)
    return (*list(words)[:_WORDS], *named)


def train(labelled: Labelled) -> Model:
    """Of the labels that enough incidents have."""
    counted = Counter(label for _, label in labelled)
    usable = [(said, label) for said, label in labelled if counted[label] >= LEAST]
    model = _counted(usable)
    if len(model.labels) < 2:
        return model
    return Model(model.labels, model.words, _temperature(model, usable[:_HELD_OUT]))


def guess(model: Model, said: Features) -> Guess | None:
    """None before two categories have labels enough."""
    if len(model.labels) < 2:
        return None
    shares = _shares(_scores(model, said), model.temperature)
    label = max(sorted(shares), key=shares.__getitem__)
    return Guess(label, shares[label], model.labels[label], _votes(model, said, label))


def _counted(labelled: Labelled) -> Model:
    words: dict[str, Counter[str]] = {}
    for said, label in labelled:
        words.setdefault(label, Counter()).update(said)
    return Model(Counter(label for _, label in labelled), words)


def _scores(model: Model, said: Iterable[str], held_out: str = "") -> dict[str, float]:
    """Log-likelihoods; the label of `held_out` without this one example of it."""
    said, n = tuple(said), sum(model.labels.values())
    scores = {}
    for label, count in model.labels.items():
        out = 1 if label == held_out else 0
        total = model.totals[label] - out * len(said) + _ALPHA * model.vocabulary
        counts = model.words[label]
        score = math.log((count - out + 1) / (n + len(model.labels)))
        scores[label] = score + sum(math.log((counts[w] - out + _ALPHA) / total) for w in said)
    return scores


def _shares(scores: Mapping[str, float], temperature: float) -> dict[str, float]:
    most = max(scores.values())
    weights = {label: math.exp((score - most) / temperature) for label, score in scores.items()}
    total = sum(weights.values())
    return {label: weight / total for label, weight in weights.items()}


def _temperature(model: Model, labelled: Labelled) -> float:
    held = [(_scores(model, said, held_out=label), label) for said, label in labelled]

    def loss(temperature: float) -> float:
        return -sum(math.log(_shares(s, temperature)[label] + 1e-12) for s, label in held)

    return min(_TEMPERATURES, key=loss)


def _votes(model: Model, said: Features, label: str) -> tuple[str, ...]:
    """Features by how much likelier they are in this category than in the others."""
    others = [other for other in model.labels if other != label]

    def rate(word: str, name: str) -> float:
        total = model.totals[name] + _ALPHA * model.vocabulary
        return math.log((model.words[name][word] + _ALPHA) / total)

    ahead = {word: rate(word, label) - max(rate(word, other) for other in others) for word in said}
    known = [word for word in said if ahead[word] > 0 and model.words[label][word]]
    return tuple(sorted(known, key=lambda word: -ahead[word])[:VOTES])
