"""The only place that draws a retry schedule: bars from the shortest to the longest wait, with the wait between."""

from collections.abc import Sequence
from dataclasses import dataclass

from actions.retry import Step

HEIGHT = 60
BAR_WIDTH, GAP = 8, 4
LINE = 2  # a wait without jitter is a line


@dataclass(frozen=True)
class Bar:
    x: int
    y: float
    height: float
    tick_y: float


@dataclass(frozen=True)
class Chart:
    bars: tuple[Bar, ...]
    width: int
    height: int
    label: str  # what the picture says, for who does not see it


@dataclass(frozen=True)
class Schedule:
    """A policy's retries as a table and a chart; `jitter` names how the waits are spread."""

    steps: tuple[Step, ...]
    chart: Chart
    jitter: str


def of(steps: Sequence[Step], *, jitter: str) -> Schedule:
    highest = max((step.highest for step in steps), default=0.0) or 1.0
    label = (
        f"{len(steps)} retries; the longest wait is {highest:g} seconds" if steps else "No retries"
    )
    width = max(len(steps) * (BAR_WIDTH + GAP), BAR_WIDTH)
    bars = tuple(_bar(step, highest=highest) for step in steps)
    return Schedule(tuple(steps), Chart(bars, width, HEIGHT, label), jitter)


def _bar(step: Step, *, highest: float) -> Bar:
    def y_of(seconds: float) -> float:
        return round((HEIGHT - LINE) * (1 - seconds / highest), 1)

    top, bottom = y_of(step.highest), y_of(step.lowest)
    x = (step.number - 1) * (BAR_WIDTH + GAP)
    return Bar(x, top, round(bottom - top + LINE, 1), y_of(step.seconds))
