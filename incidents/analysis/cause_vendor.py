"""The only place that says whether a vendor is what fails: its calls against all others, in several workflows."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from incidents.analysis import numbers
from incidents.analysis.case import Case, Report
from incidents.analysis.hypothesis import LEAST, SURE, Hypothesis, percent
from incidents.analysis.scoring import explained

_TWICE = 2.0  # as often as elsewhere, at least
_FEW = 3  # calls of one workflow that say something about it
_LESS_SURE = 0.05  # of the rest alone, where only failures are reported: there are few before
_PRIOR = 10.0  # failures that an equal share of all vendors weighs as much as
_SMALL = 60  # reports in a group; below, the normal test is not used


@dataclass(frozen=True)
class _Counts:
    """Failures and reports at the vendor, and elsewhere."""

    failed: int
    n: int
    failed_elsewhere: int
    n_elsewhere: int

    @property
    def lift(self) -> float:
        elsewhere = (self.failed_elsewhere + 0.5) / (self.n_elsewhere + 1)
        return (self.failed / self.n) / elsewhere if self.n else 0.0

    def test(self) -> tuple[str, float]:
        other_ok = self.n_elsewhere - self.failed_elsewhere
        if min(self.n, self.n_elsewhere) >= _SMALL:
            z, p = numbers.two_proportions(
                self.failed, self.n, self.failed_elsewhere, self.n_elsewhere
            )
            return f"two proportions, z = {z:.1f}", p
        p = numbers.fisher(self.failed, self.n - self.failed, self.failed_elsewhere, other_ok)
        return "Fisher's exact test", p


@dataclass(frozen=True)
class _Shares(_Counts):
    """The same of failures alone: since it began, and before. What is usual leans to an equal share of all vendors."""

    n_vendors: int = 1

    @property
    def usual(self) -> float:
        return (self.failed_elsewhere + _PRIOR / self.n_vendors) / (self.n_elsewhere + _PRIOR)

    @property
    def lift(self) -> float:
        """Of the odds: a share cannot double beyond one."""
        if not self.n or self.usual >= 1:
            return 0.0
        odds = (self.failed + 0.5) / (self.n - self.failed + 0.5)
        return odds / (self.usual / (1 - self.usual))

    def test(self) -> tuple[str, float]:
        return "binomial test of its share", numbers.binomial_tail(self.failed, self.n, self.usual)


def hypotheses(case: Case) -> list[Hypothesis]:
    """Of the vendors at which this incident's runs failed."""
    asked = sorted({r.vendor for r in case.suffered if r.vendor})
    if not case.focus:
        return []
    since, until = case.began_at, case.focus[-1].at
    tested = [(vendor, _counts(case, vendor, since=since, until=until)) for vendor in asked]
    qs = numbers.false_discovery([counts.test()[1] for _, counts in tested])
    return [
        _card(case, vendor, counts, q)
        for (vendor, counts), q in zip(tested, qs, strict=True)
        if q <= SURE
        and counts.failed >= LEAST
        and counts.lift >= _TWICE
        and _is_shared(case, vendor)
    ]


def _counts(case: Case, vendor: str, *, since: float, until: float) -> _Counts:
    """Shares of failed reports while it lasted; without successes the vendor's share of failures, then and before."""
    during = [r for r in case.judged if since <= r.at <= until]
    if case.has_successes:
        here, there = _split(during, vendor)
        return _Counts(_failed(here), len(here), _failed(there), len(there))
    now = _failures_at(during, vendor)
    before = _failures_at((r for r in case.judged if r.at < since), vendor)
    return _Shares(*now, *before, n_vendors=len({r.vendor for r in case.judged}))


def _is_shared(case: Case, vendor: str) -> bool:
    """Whether it is the vendor and not one workflow: it stands without the workflow that is hurt most.

    A vendor that one workflow alone calls must do worse there than the other vendors do.
    """
    failures = Counter(r.workflow for r in case.focus if r.failed and r.vendor == vendor)
    callers = Counter(r.workflow for r in case.focus if r.vendor == vendor)
    if not case.has_successes:
        callers = Counter(r.workflow for r in case.judged if r.vendor == vendor)
    if sum(n >= _FEW for n in callers.values()) < 2:
        only = [r for r in case.focus if r.workflow in callers]
        return _is_apart(only, vendor)
    worst = failures.most_common(1)[0][0]
    rest = replace(case, reports=tuple(r for r in case.judged if r.workflow != worst))
    counts = _counts(rest, vendor, since=case.began_at, until=case.focus[-1].at)
    sure = SURE if case.has_successes else _LESS_SURE
    return counts.failed > 1 and counts.lift >= _TWICE and counts.test()[1] <= sure


def _is_apart(reports: Sequence[Report], vendor: str) -> bool:
    here, there = _split(reports, vendor)
    there = [report for report in there if report.vendor]
    if len(there) < LEAST:
        return False
    failed, other = _failed(here), _failed(there)
    return numbers.fisher(failed, len(here) - failed, other, len(there) - other) <= SURE


def _split(reports: Iterable[Report], vendor: str) -> tuple[list[Report], list[Report]]:
    here: list[Report] = []
    there: list[Report] = []
    for report in reports:
        (here if report.vendor == vendor else there).append(report)
    return here, there


def _failed(reports: Iterable[Report]) -> int:
    return sum(1 for report in reports if report.failed)


def _failures_at(reports: Iterable[Report], vendor: str) -> tuple[int, int]:
    failures = [report for report in reports if report.failed]
    return sum(1 for report in failures if report.vendor == vendor), len(failures)


def _card(case: Case, vendor: str, counts: _Counts, q: float) -> Hypothesis:
    failures = [r for r in case.focus if r.failed and r.vendor == vendor]
    workflows = Counter(r.workflow for r in failures)
    name, _ = counts.test()
    if case.has_successes:
        told = f"{counts.failed} of {counts.n} reports of {vendor} failed"
        against = f"elsewhere {counts.failed_elsewhere} of {counts.n_elsewhere}"
        share_of = f"reports of {vendor} that failed"
    else:
        told = f"{counts.failed} of {counts.n} failures were at {vendor}"
        against = f"before {counts.failed_elsewhere} of {counts.n_elsewhere}"
        share_of = f"failures that were at {vendor}"
    where = f"{len(workflows)} workflow{'s' if len(workflows) > 1 else ''}"
    return Hypothesis(
        kind="vendor",
        subject=vendor,
        claim=f"{vendor} is failing: {told} in {where}, {against}"
        f" ({percent(counts.failed, counts.n)} against"
        f" {percent(counts.failed_elsewhere, counts.n_elsewhere)}).",
        statistic=name,
        q_value=q,
        interval=numbers.interval(counts.failed, counts.n),
        share_of=share_of,
        compared=counts.n + counts.n_elsewhere,
        score=explained(case, [r.vendor == vendor and r.at >= case.began_at for r in case.judged]),
        event_ids=tuple(r.id for r in failures),
        lift=round(counts.lift, 1),
        support=len(failures) / max(1, _failed(case.focus)),
    )
