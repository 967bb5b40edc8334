"""The only contract between the views about the incident list and their templates."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from incidents.presentation.figures import UpTo


@dataclass(frozen=True)
class Chip:
    """One condition of the query; the address leaves it out."""

    text: str
    url: str


@dataclass(frozen=True)
class Narrow:
    """A property of a row, and the condition that narrows a view to it."""

    label: str
    token: str
    url: str


@dataclass(frozen=True)
class Mistake:
    """Where a query cannot be read: the text around the column, and what was expected there."""

    words: str
    column: int
    before: str
    here: str
    after: str
    keys: tuple[tuple[str, str], ...]  # what may be asked, and how a value looks


@dataclass(frozen=True)
class Choice:
    label: str
    value: str
    is_current: bool


@dataclass(frozen=True)
class Box:
    """The query box: its text, its conditions, what else the address keeps, and what is wrong."""

    text: str
    whole: str  # with what its tab asks
    chips: tuple[Chip, ...]
    kept: Mapping[str, str]
    orders: tuple[Choice, ...]
    clear_url: str
    facets_url: str
    volume_url: str
    save_url: str
    mistake: Mistake | None = None

    @property
    def is_filtered(self) -> bool:
        return bool(self.text)


@dataclass(frozen=True)
class Fewer:
    """The view without one of its conditions, and how many it would show."""

    text: str
    url: str
    count: UpTo


@dataclass(frozen=True)
class Recovered:
    """Of the incidents resolved of late, those that took no person."""

    alone: int
    resolved: int

    @property
    def percent(self) -> int:
        return 100 * self.alone // self.resolved if self.resolved else 0


@dataclass(frozen=True)
class FacetValue:
    """A value, how many have it, and the view narrowed to it or without it."""

    label: str
    n: int
    url: str
    without_url: str


@dataclass(frozen=True)
class Facet:
    label: str
    values: tuple[FacetValue, ...]
    n_more: int = 0


@dataclass(frozen=True)
class Facets:
    groups: tuple[Facet, ...]
    n_counted: UpTo
    back_url: str


@dataclass(frozen=True)
class Piece:
    """Part of a bar: one severity's events in one hour."""

    severity: str
    y: float
    height: float


@dataclass(frozen=True)
class Column:
    """An hour of the list, and the view narrowed to it."""

    x: int
    pieces: tuple[Piece, ...]
    label: str
    url: str


@dataclass(frozen=True)
class Histogram:
    width: int
    columns: tuple[Column, ...]
    label: str
    ticks: tuple[str, ...]


@dataclass(frozen=True)
class SavedLine:
    """A view that somebody keeps, in the side section and on the page of all."""

    id: UUID
    name: str
    url: str
    query: str
    is_shared: bool
    owner: str  # of those that others share
    is_current: bool = False
    may_change: bool = False
    count: UpTo | None = None
