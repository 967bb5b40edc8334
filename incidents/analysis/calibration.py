"""The only place that says how far a confidence can be trusted: how often it was right, against how sure it was."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

BINS: Final = 5


@dataclass(frozen=True)
class Forecast:
    """A category that was found, and whether people called it the same."""

    category: str
    confidence: float
    was_right: bool


@dataclass(frozen=True)
class Group:
    """Forecasts alike: those of one category, or about as sure. `claimed` and `right` are shares."""

    name: str
    n: int
    claimed: float
    right: float
    brier: float


def brier(forecasts: Sequence[Forecast]) -> float | None:
    """0 is perfect, 0.25 is what a coin says.

    G. W. Brier, "Verification of forecasts expressed in terms of probability",
    Monthly Weather Review 78 (1950).
    """
    if not forecasts:
        return None
    errors = ((one.confidence - one.was_right) ** 2 for one in forecasts)
    return round(sum(errors) / len(forecasts), 4)


def by_confidence(forecasts: Sequence[Forecast]) -> tuple[Group, ...]:
    """In bins of equal width; empty ones are left out."""
    bins = [[one for one in forecasts if _bin(one) == place] for place in range(BINS)]
    return tuple(
        _group(f"{100 * place // BINS}–{100 * (place + 1) // BINS} %", those)
        for place, those in enumerate(bins)
        if those
    )


def by_category(forecasts: Sequence[Forecast]) -> tuple[Group, ...]:
    """The most frequent first."""
    names = {one.category for one in forecasts}
    groups = [_group(name, [one for one in forecasts if one.category == name]) for name in names]
    return tuple(sorted(groups, key=lambda group: (-group.n, group.name)))


def _bin(forecast: Forecast) -> int:
    return min(BINS - 1, int(forecast.confidence * BINS))


def _group(name: str, those: Sequence[Forecast]) -> Group:
    n = len(those)
    return Group(
        name=name,
        n=n,
        claimed=round(sum(one.confidence for one in those) / n, 4),
        right=round(sum(one.was_right for one in those) / n, 4),
        brier=brier(those) or 0.0,
    )
