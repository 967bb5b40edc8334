"""The only place that draws how often a confidence was right, against how sure it was."""

from collections.abc import Sequence
from dataclasses import dataclass

from incidents.analysis.calibration import Group

SIDE = 100  # of the square it is drawn in


@dataclass(frozen=True)
class Point:
    """On the diagonal, what is claimed is what happens."""

    x: float
    y: float
    radius: float
    says: str


def points(groups: Sequence[Group]) -> tuple[Point, ...]:
    most = max((group.n for group in groups), default=1)
    return tuple(
        Point(
            x=round(SIDE * group.claimed, 1),
            y=round(SIDE * (1 - group.right), 1),
            radius=round(1.5 + 2.5 * (group.n / most) ** 0.5, 1),
            says=f"{group.n} sure by {group.claimed:.0%}: right {group.right:.0%} of the time",
        )
        for group in groups
    )
