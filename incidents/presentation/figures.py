"""The shapes of what is counted, drawn and compared on the incident pages."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """One hour with events, in the units of its chart's drawing."""

    x: int
    y: int
    height: int
    is_spike: bool
    label: str


@dataclass(frozen=True)
class Chart:
    """Events by the hour. `label` says in words what the bars show."""

    span: str  # 24 hours
    width: int
    bars: tuple[Bar, ...]
    peak: int
    total: int
    label: str
    ticks: tuple[str, ...]

    @property
    def path(self) -> str:
        """All its bars but the spikes as one drawing: fifty rows draw faster in few words."""
        return _path(bar for bar in self.bars if not bar.is_spike)

    @property
    def spike_path(self) -> str:
        return _path(bar for bar in self.bars if bar.is_spike)


@dataclass(frozen=True)
class Span:
    """How far back the chart looks, or which part of the timeline is told."""

    label: str
    url: str
    is_current: bool


@dataclass(frozen=True)
class Count:
    """A number of runs and where they are listed."""

    n: int
    word: str
    url: str


@dataclass(frozen=True)
class UpTo:
    """How many there are, counted no further than to `n` when `is_more`."""

    n: int
    is_more: bool = False

    def __str__(self) -> str:
        return f"{self.n:,}{'+' if self.is_more else ''}"


@dataclass(frozen=True)
class Turned:
    """Where a page stands in its list."""

    number: int
    has_next: bool

    @property
    def has_previous(self) -> bool:
        return self.number > 1

    @property
    def previous_number(self) -> int:
        return self.number - 1

    @property
    def next_number(self) -> int:
        return self.number + 1


@dataclass(frozen=True)
class Numbered(Turned):
    """The same, in a list whose rows are counted."""

    n_matching: UpTo


@dataclass(frozen=True)
class Share:
    """Runs of one fate. `kind` colours its part of the meter; `x` and `width` are of 100."""

    kind: str
    word: str
    n: int
    url: str
    x: float
    width: float


@dataclass(frozen=True)
class Piece:
    """Part of a text; `varies` where the events differ."""

    text: str
    varies: bool = False


@dataclass(frozen=True)
class Component:
    """One part of a signature."""

    name: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Apart:
    """A component in which two incidents differ."""

    name: str
    here: tuple[Piece, ...]
    there: tuple[Piece, ...]


def _path(bars: Iterable[Bar]) -> str:
    return "".join(f"M{bar.x} {bar.y}h3v{bar.height}h-3z" for bar in bars)
