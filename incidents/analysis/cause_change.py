"""The only place that joins an onset with what somebody changed just before it."""

import math
from collections.abc import Iterable

from incidents.analysis import numbers
from incidents.analysis.case import Case, Change
from incidents.analysis.hypothesis import LEAST, Hypothesis, percent
from incidents.analysis.numbers import Onset
from incidents.analysis.scoring import explained

LOOK_BACK = (
    24 * 3600.0
)  # seconds in which changes are counted, to say how often one comes by chance
_GAP, _LONGEST_GAP = (
    15 * 60.0,
    60 * 60.0,
)  # seconds from a change to its first failure, as failures are rare
_SLACK = 60.0  # seconds the first failure may seem to come before the change
_CHANCE = 0.05  # that some change would stand as near to the onset by luck
_OLDER = 5  # reports of a workflow with other versions, before a version is new
_CARDS = 2
_ALONE = 5.0  # of an onset that nothing else explains
_VERSIONS = frozenset(
    {"version", "app_version", "release", "build", "commit", "revision", "sha", "git_sha", "image"}
)


def hypotheses(case: Case) -> list[Hypothesis]:
    onset = case.onset
    if onset is None or onset.n_after < LEAST:
        return []
    possible = [
        c for c in (*case.changes, *new_versions(case, onset)) if _may_be_it(c, case, onset)
    ]
    cards = []
    for change in sorted(possible, key=lambda c: -c.at)[:_CARDS]:
        p = _by_chance(change, possible, onset)
        if p <= _CHANCE and _is_worse_since(case, change):
            cards.append(_card(case, change, onset, p))
    return cards


def new_versions(case: Case, onset: Onset) -> list[Change]:
    """Versions that reports name since about the onset, and did not name before: deploys nobody announced."""
    seen: dict[tuple[str, str, str], float] = {}
    for report in case.judged:
        for name, value in report.attributes:
            if name.rpartition(".")[2] in _VERSIONS:
                seen.setdefault((report.workflow, name, value), report.at)
    failing = {(r.workflow, *pair) for r in case.kin if r.at >= onset.at for pair in r.attributes}
    return [
        Change(at=at, kind="deploy", summary=f"{name} {value} appeared", workflow=workflow)
        for (workflow, name, value), at in seen.items()
        if (workflow, name, value) in failing and _is_new(case, workflow, name, value, at)
    ]


def _is_new(case: Case, workflow: str, name: str, value: str, at: float) -> bool:
    """Whether its workflow named another one before, and enough reports before it named any."""
    older = [
        (r.workflow, said)
        for r in case.judged
        if r.at < at
        for field, said in r.attributes
        if field == name
    ]
    own = [said for workflow_, said in older if workflow_ == workflow and said != value]
    return len(older) >= _OLDER and len(own) >= (_OLDER if case.has_successes else 1)


def _may_be_it(change: Change, case: Case, onset: Onset) -> bool:
    """Before the onset, not long ago, and touching what fails."""
    slack = max(_SLACK, min(2 * onset.seconds_between, 10 * _SLACK))
    if not onset.at - LOOK_BACK <= change.at <= onset.at + slack:
        return False
    since = [r for r in case.suffered if r.at >= onset.at]
    return 2 * sum(map(change.touches, since)) >= len(since) > 0


def _by_chance(change: Change, possible: Iterable[Change], onset: Onset) -> float:
    """That one of them falls into the gap by luck, were changes a Poisson process and unrelated."""
    gap = max(0.0, onset.at - change.at)
    if gap > min(_LONGEST_GAP, _GAP + 3 * onset.seconds_between):
        return 1.0
    each = sum(1 for _ in possible) / LOOK_BACK
    return 1 - math.exp(-each * (gap + _SLACK))


def _is_worse_since(case: Case, change: Change) -> bool:
    if not case.has_successes:
        return True
    touched = [r for r in case.judged if change.touches(r)]
    after = [bool(r.failed) for r in touched if r.at >= change.at]
    before = [bool(r.failed) for r in touched if r.at < change.at]
    if len(before) < LEAST:
        return True
    return (
        numbers.fisher(sum(after), len(after) - sum(after), sum(before), len(before) - sum(before))
        <= 0.01
    )


def _card(case: Case, change: Change, onset: Onset, p: float) -> Hypothesis:
    failures = [r for r in case.kin if r.at >= min(change.at, onset.at) and change.touches(r)]
    hits, n = onset.n_after, onset.n_after + onset.n_before
    return Hypothesis(
        kind="change",
        subject=change.summary,
        claim=f"It began {_apart(onset.at - change.at)} {change.kind}: {change.summary}."
        f" {len(failures)} failures since, {onset.n_before} before ({percent(hits, n)} since).",
        statistic=f"Poisson change-point, gain {onset.gain:.1f}; nearness of the change by chance {p:.3f}",
        q_value=p,
        interval=numbers.interval(hits, n),
        share_of="failures since the change",
        compared=n,
        score=_score(case, change, onset),
        event_ids=tuple(r.id for r in failures),
    )


def _score(case: Case, change: Change, onset: Onset) -> float:
    """Where only failures are reported and none came before, nothing can be split: the onset alone speaks."""
    since = min(change.at, onset.at)
    split = explained(case, [r.at >= since and change.touches(r) for r in case.judged])
    return split if case.has_successes else max(split, min(onset.gain, _ALONE))


def _apart(seconds: float) -> str:
    if seconds < 1:
        return "with a"
    if seconds < 90:
        return f"{seconds:.0f} s after a"
    return f"{seconds / 60:.0f} min after a"
