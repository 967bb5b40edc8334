"""The shapes of what is counted, drawn and compared on the incident pages."""

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


@dataclass(frozen=True)
class Span:
    """How far back the chart looks."""

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
