"""The only place that puts hypotheses of different kinds on one scale: how much each explains."""

from collections.abc import Sequence

from incidents.analysis import numbers
from incidents.analysis.case import Case


def explained(case: Case, holds: Sequence[bool]) -> float:
    """What it explains of all that failed and did not; `holds` says of every judged report whether it applies.

    Where nobody reports successes: of what failed since the onset, and before.
    """
    hits = n = failed = 0
    for report, here in zip(case.judged, holds, strict=True):
        is_hit = bool(report.failed if case.has_successes else report.at >= case.began_at)
        failed += is_hit
        n += here
        hits += here and is_hit
    return numbers.gain(hits, n, failed - hits, len(holds) - n)
