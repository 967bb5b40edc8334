"""The only place that says which value of a field the failures have in common, and what works has not."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from incidents.analysis import numbers
from incidents.analysis.case import Case, Report, one_a_run
from incidents.analysis.hypothesis import LEAST, SURE, Hypothesis, percent
from incidents.analysis.scoring import explained

RUN = "run"  # not a field of the payload: that one run fails again and again
_ENOUGH = 5  # reports to compare with
_SUPPORT = 0.5  # of the failures; a value that fewer have may be a part of it, but not the cause
_TWICE = 2.0
_CARDS = 3

Pair = tuple[str, str]


def hypotheses(case: Case) -> list[Hypothesis]:
    failed = [r for r in case.kin if r.at >= case.began_at]
    found = _over_represented(case, one_a_run(failed)) or _one_run(case, failed)
    return sorted(found, key=lambda card: -card.score)[:_CARDS]


def comparable(case: Case) -> list[Report]:
    """Runs that did not fail, the nearer the better: of the same workflows and time, else the same workflows, else all.

    Where nobody reports successes: what failed before it began, else what failed otherwise.
    """
    for group in _groups(case):
        runs = one_a_run(group)
        if len(runs) >= _ENOUGH:
            return runs
    return []


def _groups(case: Case) -> Iterator[list[Report]]:
    workflows = {r.workflow for r in case.mine}
    hurt = {(r.workflow, r.run) for r in case.judged if r.failed and r.run}
    good = [r for r in case.judged if not r.failed and (r.workflow, r.run) not in hurt]
    near = [r for r in good if r.workflow in workflows]
    last = case.kin[-1].at if case.kin else case.end
    yield [r for r in near if case.began_at <= r.at <= last]
    yield near
    yield good
    mine = {r.id for r in case.kin if r.at >= case.began_at}
    others = [r for r in case.judged if r.failed and r.id not in mine]
    yield [r for r in others if r.at < case.began_at]
    yield [r for r in others if r.workflow in workflows]
    yield others


def _over_represented(case: Case, failed: Sequence[Report]) -> list[Hypothesis]:
    if len(failed) < LEAST:
        return []
    others = comparable(case)
    here, there = _pairs(failed), _pairs(others)
    fields, fields_there = _fields(failed), _fields(others)
    asked = [
        pair
        for pair, n in here.items()
        if n >= LEAST and n >= _SUPPORT * len(failed) and fields_there[pair[0]] >= _ENOUGH
    ]
    ps = [
        numbers.fisher(
            here[pair],
            fields[pair[0]] - here[pair],
            there[pair],
            fields_there[pair[0]] - there[pair],
        )
        for pair in asked
    ]
    cards = []
    for pair, q in zip(asked, numbers.false_discovery(ps), strict=True):
        share, other = here[pair] / fields[pair[0]], there[pair] / fields_there[pair[0]]
        if q <= SURE and share >= _TWICE * other:
            counts = (here[pair], len(failed), there[pair], fields_there[pair[0]])
            cards.append(_card(case, pair, counts, q))
    return cards


def _one_run(case: Case, failed: Sequence[Report]) -> list[Hypothesis]:
    """One run that fails each time it is tried, while others of its workflow do not."""
    runs = Counter(r.run for r in failed if r.run)
    if not runs:
        return []
    run, n = runs.most_common(1)[0]
    others = comparable(case)
    if n < LEAST or n < 2 * _SUPPORT * 0.8 * len(failed) or len(others) < _ENOUGH:
        return []
    p = numbers.fisher(n, len(failed) - n, 0, len(others))
    if p > SURE:
        return []
    return [_card(case, (RUN, run), (n, len(failed), 0, len(others)), p)]


def _pairs(reports: Iterable[Report]) -> Counter[Pair]:
    return Counter(pair for report in reports for pair in set(report.attributes))


def _fields(reports: Iterable[Report]) -> Counter[str]:
    return Counter(name for report in reports for name in {name for name, _ in report.attributes})


def _has(report: Report, pair: Pair) -> bool:
    return report.run == pair[1] if pair[0] == RUN else pair in report.attributes


def _card(case: Case, pair: Pair, counts: tuple[int, int, int, int], q: float) -> Hypothesis:
    hits, n, other_hits, other_n = counts
    failures = [r for r in case.kin if r.at >= case.began_at and _has(r, pair)]
    name, value = pair
    lift = (hits / n) / ((other_hits + 0.5) / (other_n + 1))
    told = f"{name} is {value} in {hits} of {n} failures"
    against = f"and in {other_hits} of {other_n} that did not fail like this"
    return Hypothesis(
        kind="attribute",
        subject=f"{name}={value}",
        claim=f"{told} {against} ({percent(hits, n)} against {percent(other_hits, other_n)}).",
        statistic="Fisher's exact test, Benjamini–Hochberg",
        q_value=q,
        interval=numbers.interval(hits, n),
        share_of=f"failures with {name} {value}",
        compared=n + other_n,
        score=explained(case, [r.at >= case.began_at and _has(r, pair) for r in case.judged]),
        event_ids=tuple(r.id for r in failures),
        lift=round(lift, 1),
        support=hits / n,
    )
