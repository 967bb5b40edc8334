"""The only place that computes what analysis claims: tests of counts and times, in plain arithmetic."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_Z95 = 1.959963984540054
_SUDDEN = (
    6.0  # gain of a split in time; 2 × 6 is far beyond what the best of many splits gains by luck
)


@dataclass(frozen=True)
class Onset:
    """The best place to split a series of events in two rates. `gain` is in units of log-likelihood."""

    at: float
    gain: float
    n_before: int
    n_after: int
    seconds_between: float  # events after it, on average


def fisher(hits: int, misses: int, other_hits: int, other_misses: int) -> float:
    """One-sided: how likely as many hits or more are if both groups are alike.

    R. A. Fisher, "On the interpretation of χ² from contingency tables, and the calculation of P",
    Journal of the Royal Statistical Society 85 (1922).
    """
    group, all_hits = hits + misses, hits + other_hits
    total = group + other_hits + other_misses
    most = min(group, all_hits)
    term = math.exp(
        _log_choose(all_hits, hits)
        + _log_choose(total - all_hits, group - hits)
        - _log_choose(total, group)
    )
    tail = term
    for k in range(hits, most):
        term *= (all_hits - k) * (group - k) / ((k + 1) * (total - all_hits - group + k + 1))
        tail += term
    return min(1.0, tail)


def two_proportions(hits: int, n: int, other_hits: int, other_n: int) -> tuple[float, float]:
    """z and the one-sided p of a share being higher than another, by the pooled normal test.

    Agresti, "Categorical Data Analysis", 3rd edition, section 3.2. Small counts are for `fisher`.
    """
    pooled = (hits + other_hits) / (n + other_n)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / other_n))
    if spread == 0:
        return 0.0, 1.0
    z = (hits / n - other_hits / other_n) / spread
    return z, 0.5 * math.erfc(z / math.sqrt(2))


def interval(hits: int, n: int) -> tuple[float, float]:
    """Of a share, 95 %.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    Journal of the American Statistical Association 22 (1927).
    """
    if n == 0:
        return 0.0, 1.0
    share, z2 = hits / n, _Z95 * _Z95
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def false_discovery(ps: Sequence[float]) -> list[float]:
    """q of each p: the share of false claims if everything up to it were claimed.

    Benjamini and Hochberg, "Controlling the false discovery rate", Journal of the Royal
    Statistical Society B 57 (1995).
    """
    qs = [1.0] * len(ps)
    least = 1.0
    for rank, index in sorted(enumerate(sorted(range(len(ps)), key=ps.__getitem__)), reverse=True):
        least = min(least, ps[index] * len(ps) / (rank + 1))
        qs[index] = least
    return qs


def binomial_tail(hits: int, n: int, share: float) -> float:
    """How likely `hits` or more of `n` are when each comes with probability `share`."""
    if hits <= 0:
        return 1.0
    if share <= 0:
        return 0.0
    if share >= 1:
        return 1.0
    yes, no = math.log(share), math.log1p(-share)
    return min(
        1.0,
        math.fsum(math.exp(_log_choose(n, k) + k * yes + (n - k) * no) for k in range(hits, n + 1)),
    )


def gain(hits: int, n: int, other_hits: int, other_n: int) -> float:
    """How much better two shares explain the counts than one does, in units of log-likelihood.

    Half of Wilks' statistic: S. S. Wilks, "The large-sample distribution of the likelihood
    ratio for testing composite hypotheses", Annals of Mathematical Statistics 9 (1938).
    """
    together = _likelihood(hits + other_hits, n + other_n)
    return _likelihood(hits, n) + _likelihood(other_hits, other_n) - together


def onset(times: Sequence[float], *, start: float, end: float) -> Onset | None:
    """The change-point of a Poisson process from a lower to a higher rate; None where one rate does.

    Akman and Raftery, "Asymptotic inference for a change-point Poisson process", Annals of
    Statistics 14 (1986). `times` are sorted.
    """
    n, span = len(times), end - start
    best: Onset | None = None
    if n < 3 or span <= 0:
        return None
    for k, at in enumerate(times[:-2]):
        before, after = at - start, end - at
        if before <= 0 or after <= 0 or k / before >= (n - k) / after:
            continue
        won = _log_rate(k, before) + _log_rate(n - k, after) - _log_rate(n, span)
        if won > (best.gain if best else _SUDDEN):
            best = Onset(at, won, k, n - k, (times[-1] - at) / (n - k - 1))
    return best


def _log_rate(n: int, span: float) -> float:
    return n * math.log(n / span) if n else 0.0


def _likelihood(hits: int, n: int) -> float:
    """Of the counts at their own share."""
    total = 0.0
    for part in (hits, n - hits):
        if part:
            total += part * math.log(part / n)
    return total


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
