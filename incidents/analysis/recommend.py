"""The only place that says what worked for failures like it: a share with its lower bound, never without its n."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

ENOUGH: Final = 5  # outcomes; fewer say nothing
BORROWED: Final = 4.0  # what other vendors' outcomes weigh at most, however many they are
ONE_SIDED: Final = 0.05  # the true share is below the lower bound as rarely as this
_HALVINGS: Final = 60
_TERMS: Final = 300
_TINY: Final = 1e-30


@dataclass(frozen=True)
class Tally:
    """Outcomes of one action: how many, and how many of them well."""

    worked: int = 0
    n: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.worked + other.worked, self.n + other.n)


@dataclass(frozen=True)
class Recommendation:
    """Of one action for one category at one vendor. `lower` is None where there is not enough to say."""

    choice: str
    n: int
    worked: int
    expected: float | None
    lower: float | None

    @property
    def says(self) -> str:
        if self.lower is None:
            return f"insufficient data: {self.n} of {ENOUGH} outcomes"
        return f"worked {self.worked} of {self.n} times, at least {self.lower:.0%} of the time"

    def needs_person(self, threshold: float) -> bool:
        return self.lower is None or self.lower < threshold


def recommend(
    here: Mapping[str, Tally], elsewhere: Mapping[str, Tally]
) -> tuple[Recommendation, ...]:
    """By action, the surest first. `elsewhere`: at all other vendors, which is borrowed from, a little."""
    found = [
        _judged(choice, here.get(choice, Tally()), elsewhere.get(choice, Tally()))
        for choice in {**here, **elsewhere}
    ]
    return tuple(sorted(found, key=lambda one: (-(one.lower or 0.0), -one.n, one.choice)))


def lower_bound(tally: Tally, elsewhere: Tally = Tally()) -> float:
    """The share that the true one is above, 19 times of 20."""
    return _quantile(*_posterior(tally, elsewhere), ONE_SIDED)


def _judged(choice: str, tally: Tally, elsewhere: Tally) -> Recommendation:
    if tally.n < ENOUGH:
        return Recommendation(choice, tally.n, tally.worked, None, None)
    a, b = _posterior(tally, elsewhere)
    lower = _quantile(a, b, ONE_SIDED)
    return Recommendation(choice, tally.n, tally.worked, round(a / (a + b), 4), round(lower, 4))


def _posterior(tally: Tally, elsewhere: Tally) -> tuple[float, float]:
    """Beta-Binomial over Jeffreys' prior; what happened elsewhere counts as a few outcomes more.

    H. Jeffreys, "An invariant form for the prior probability in estimation problems",
    Proceedings of the Royal Society A 186 (1946).
    """
    weight = min(1.0, BORROWED / elsewhere.n) if elsewhere.n else 0.0
    worked = tally.worked + weight * elsewhere.worked
    failed = tally.n - tally.worked + weight * (elsewhere.n - elsewhere.worked)
    return 0.5 + worked, 0.5 + failed


@lru_cache(maxsize=2000)
def _quantile(a: float, b: float, share: float) -> float:
    """Where the Beta distribution has `share` of its mass below, by halving."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _mass_below(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _mass_below(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function: Abramowitz and Stegun, 26.5.8."""
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1) / (a + b + 2):
        return 1 - _mass_below(1 - x, b, a)
    logs = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(logs + a * math.log(x) + b * math.log1p(-x)) / a
    return front / _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    """The denominator's continued fraction, from the top down (Lentz, Applied Optics 15, 1976)."""
    value = up = 1.0
    down = 0.0
    for n in range(1, _TERMS):
        term = _term(n, x, a, b)
        down = 1 / ((1 + term * down) or _TINY)
        up = (1 + term / up) or _TINY
        value *= up * down
        if abs(up * down - 1) < 1e-12:
            break
    return value


def _term(n: int, x: float, a: float, b: float) -> float:
    m = n // 2
    if n % 2:
        return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
    return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
