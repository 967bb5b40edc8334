"""The only place that says which step of a run failed first, and what failed after it."""

from collections import Counter, defaultdict
from dataclasses import dataclass

from incidents.analysis import numbers
from incidents.analysis.case import Case, Report
from incidents.analysis.hypothesis import LEAST, SURE, Hypothesis, percent

_MOST = 0.8  # of the runs that failed twice: the same step came first
_OF_MINE = 0.5  # of this incident's runs; what explains fewer explains something else

Chain = list[Report]  # the first failure of each step of one run, in order


@dataclass(frozen=True)
class _Cascade:
    first: str
    chains: list[Chain]  # runs in which it failed first and something after it
    n_failed_twice: int
    n_mine: int
    p: float


def hypotheses(case: Case) -> list[Hypothesis]:
    found = _cascade(case)
    return [_card(case, found)] if found else []


def chains(case: Case) -> list[Chain]:
    """Of the runs that this incident hurt since it began."""
    runs: dict[tuple[str, str], Chain] = defaultdict(list)
    for report in case.suffered:
        if report.run and step_of(report):
            chain = runs[report.workflow, report.run]
            if step_of(report) not in map(step_of, chain):
                chain.append(report)
    return list(runs.values())


def step_of(report: Report) -> str:
    return report.step


def _cascade(case: Case) -> _Cascade | None:
    runs = chains(case)
    mine = [chain for chain in runs if any(report.is_mine for report in chain)]
    twice = [chain for chain in mine if len(chain) > 1]
    if len(twice) < LEAST or len(twice) < _OF_MINE * len(mine):
        return None
    first, n = Counter(step_of(chain[0]) for chain in twice).most_common(1)[0]
    # by chance each of the steps that failed would come first equally often
    steps = sum(map(len, twice)) / len(twice)
    p = numbers.binomial_tail(n, len(twice), 1 / steps)
    if n < _MOST * len(twice) or p > SURE:
        return None
    led = [chain for chain in twice if step_of(chain[0]) == first]
    return _Cascade(first, led, len(twice), len(mine), p)


def _card(case: Case, found: _Cascade) -> Hypothesis:
    after = Counter(step_of(r) for chain in found.chains for r in chain[1:])
    names = ", ".join(name for name, _ in after.most_common(3))
    n, runs = len(found.chains), found.n_failed_twice
    other = [r for r in case.judged if r.failed is False and r.step in after]
    hits = len(found.chains)
    return Hypothesis(
        kind="step",
        subject=found.first,
        claim=f"{found.first} fails first: in {n} of {runs} runs in which more than one step failed,"
        f" then {names} ({percent(n, runs)}).",
        statistic="binomial test of which step is first",
        q_value=found.p,
        interval=numbers.interval(n, runs),
        share_of="runs of several failed steps that began with it",
        compared=found.n_mine,
        score=numbers.gain(hits, hits, 0, max(1, len(other))),
        event_ids=tuple(chain[0].id for chain in found.chains),
    )
