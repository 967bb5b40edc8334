"""The only place that says whether failures keep to the clock: every hour at the same minutes, every night at two."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from incidents.analysis import numbers
from incidents.analysis.case import Case, Report
from incidents.analysis.hypothesis import Hypothesis, percent
from incidents.analysis.scoring import explained

_MINUTE, _HOUR = 60, 3600
PERIODS = (
    *(n * _MINUTE for n in (5, 10, 15, 20, 30)),
    *(n * _HOUR for n in (1, 2, 3, 4, 6, 8, 12, 24)),
)
_LEAST = 6  # failures
_CYCLES = 3  # in which it happened; twice is a coincidence
_HIT, _HIT_OF_MANY = 0.6, 0.4  # of the cycles that passed; of many it may miss more
_INSIDE = 0.6  # of the failures
_SLOTS = 24  # of one period
_WIDTHS = (1, 2, 4, 6)  # slots a window may have
_SURE = 0.001
_RUNS_THEN = 0.8  # of a workflow's reports


@dataclass(frozen=True)
class Rhythm:
    period: int
    begins: float  # seconds into the period
    width: float
    n_inside: int
    n: int
    n_cycles: int
    p: float
    expected: float

    def holds(self, at: float) -> bool:
        return (at - self.begins) % self.period < self.width


def hypotheses(case: Case) -> list[Hypothesis]:
    """Of this incident's failures, and of those of its workflow: whichever keep better to the clock."""
    found = [
        (rhythm, failures)
        for failures in {case.mine, case.kin}
        if len(failures) >= _LEAST
        for period in PERIODS
        if (rhythm := _best(case, [r.at for r in failures], period))
    ]
    if not found:
        return []
    rhythm, failures = min(found, key=lambda pair: (pair[0].p, pair[0].period))
    return [_card(case, rhythm, failures)]


def _best(case: Case, times: Sequence[float], period: int) -> Rhythm | None:
    """The window of the phase that holds most; the p is of the best of all windows of all periods."""
    passed = (times[-1] - times[0]) / period
    if passed < _CYCLES - 1:
        return None
    slot = period / _SLOTS
    at = Counter(int(t % period / slot) for t in times)
    usual = Counter(int(r.at % period / slot) for r in case.judged if not r.failed)
    tried = len(PERIODS) * _SLOTS * len(_WIDTHS)
    best: Rhythm | None = None
    for width in _WIDTHS:
        begin, n = max(
            ((b, sum(at[(b + k) % _SLOTS] for k in range(width))) for b in range(_SLOTS)),
            key=lambda pair: pair[1],
        )
        if n < _INSIDE * len(times):
            continue
        share = max(width / _SLOTS, _share(usual, begin, width))
        p = min(1.0, tried * numbers.binomial_tail(n, len(times), share))
        rhythm = Rhythm(period, begin * slot, width * slot, n, len(times), 0, p, share)
        if p <= _SURE and (best is None or p < best.p) and _keeps(rhythm, times):
            best = rhythm
    return best


def _share(counts: Counter[int], begin: int, width: int) -> float:
    total = sum(counts.values())
    if total < 2 * _SLOTS:
        return 0.0
    return sum(counts[(begin + k) % _SLOTS] for k in range(width)) / total


def _cycles(rhythm: Rhythm, times: Sequence[float]) -> set[int]:
    return {math.floor((t - rhythm.begins) / rhythm.period) for t in times if rhythm.holds(t)}


def _keeps(rhythm: Rhythm, times: Sequence[float]) -> bool:
    """It came in most of the cycles that passed, so that one burst is no rhythm."""
    hit = _cycles(rhythm, times)
    if len(hit) < _CYCLES:
        return False
    share = _HIT if len(hit) == _CYCLES else _HIT_OF_MANY
    return len(hit) >= share * (max(hit) - min(hit) + 1)


def _card(case: Case, rhythm: Rhythm, failures: Sequence[Report]) -> Hypothesis:
    inside = [r for r in failures if rhythm.holds(r.at)]
    n_cycles = len(_cycles(rhythm, [r.at for r in inside]))
    beside = _running_then(case, rhythm)
    together = f" {beside} runs at the same times." if beside else ""
    when = _when(rhythm)
    return Hypothesis(
        kind="cycle",
        subject=f"{when}, {beside}" if beside else when,
        claim=f"It keeps to the clock: {rhythm.n_inside} of {rhythm.n} failures came {when},"
        f" in {n_cycles} cycles; by chance {percent(round(100 * rhythm.expected), 100)} would.{together}",
        statistic="binomial test of the phase, for every period tried",
        q_value=rhythm.p,
        interval=numbers.interval(rhythm.n_inside, rhythm.n),
        share_of=f"failures {when}",
        compared=rhythm.n,
        score=_score(case, rhythm),
        event_ids=tuple(r.id for r in inside),
    )


def _score(case: Case, rhythm: Rhythm) -> float:
    """Where only failures are reported: against failures that come at any time."""
    if case.has_successes:
        mine = _mine(case)
        return explained(case, [rhythm.holds(r.at) and r.workflow in mine for r in case.judged])
    n, inside = rhythm.n, rhythm.n_inside
    usual = round(1000 * rhythm.expected)
    return numbers.gain(inside, n, usual, 1000)


def _mine(case: Case) -> set[str]:
    return {r.workflow for r in case.mine}


def _running_then(case: Case, rhythm: Rhythm) -> str:
    """Another workflow whose reports come in the same windows."""
    others: dict[str, list[Report]] = defaultdict(list)
    for report in case.reports:
        if report.workflow not in _mine(case) and not report.failed:
            others[report.workflow].append(report)
    for name, reports in sorted(others.items()):
        inside = sum(rhythm.holds(r.at) for r in reports)
        if inside >= _CYCLES and inside >= _RUNS_THEN * len(reports):
            return name
    return ""


def _when(rhythm: Rhythm) -> str:
    if rhythm.period >= 24 * _HOUR:
        return (
            f"every day from {_clock(rhythm.begins)} to {_clock(rhythm.begins + rhythm.width)} UTC"
        )
    begins, ends = rhythm.begins / _MINUTE, (rhythm.begins + rhythm.width) / _MINUTE
    if rhythm.period == _HOUR:
        return f"every hour from minute {begins:.0f} to {ends:.0f}"
    if rhythm.period < _HOUR:
        return f"every {rhythm.period // _MINUTE} minutes, from minute {begins:.0f} to {ends:.0f}"
    return (
        f"every {rhythm.period // _HOUR} hours, from {_clock(rhythm.begins)}"
        f" to {_clock(rhythm.begins + rhythm.width)} UTC"
    )


def _clock(seconds: float) -> str:
    minutes = int(seconds // _MINUTE) % (24 * 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
