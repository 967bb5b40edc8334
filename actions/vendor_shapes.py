"""The only contract between the vendor and safety pages and their templates."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from incidents.presentation.figures import Chart, Numbered
from incidents.presentation.shapes import Day, NextStep, Row
from safety.presentation import SwitchLine


@dataclass(frozen=True)
class Use:
    """How much of a limit is used. `kind` colours the meter: accent, wait from four fifths on, bad when full."""

    label: str
    used: int
    limit: int
    over: str  # what it is counted over: "now", "in a minute"

    @property
    def percent(self) -> int:
        return min(100, 100 * self.used // self.limit) if self.limit else 100

    @property
    def kind(self) -> str:
        if self.percent >= 100:
            return "bad"
        return "wait" if self.percent >= 80 else "accent"


@dataclass(frozen=True)
class Amplified:
    """Calls for each call that a workflow made by itself, in the last hour, and its minutes drawn."""

    times: str
    says: str
    chart: Chart


@dataclass(frozen=True)
class VendorLine:
    """A vendor on the safety overview: its breaker, its limits, its retries."""

    url: str
    name: str
    breaker: NextStep
    uses: tuple[Use, ...]
    amplified: Amplified


@dataclass(frozen=True)
class VendorRow:
    """A vendor in the list."""

    id: UUID
    url: str
    name: str
    breaker: NextStep
    n_open: int
    n_failures: int  # in the hour that has begun
    in_flight: Use
    retries: str  # of the last hour, in words
    chart: Chart


@dataclass(frozen=True)
class VendorPage(Numbered):
    rows: tuple[VendorRow, ...]


@dataclass(frozen=True)
class InForce:
    """A value of the rules, and who set it."""

    name: str
    value: object
    source: str
    is_override: bool


@dataclass(frozen=True)
class VendorDetail:
    id: UUID
    url: str
    name: str
    breaker: NextStep
    is_forced: bool
    openings: str
    uses: tuple[Use, ...]
    amplified: Amplified
    chart: Chart
    incidents: tuple[Row, ...]
    n_open: int
    incidents_url: str
    days: tuple[Day, ...]
    in_force: tuple[InForce, ...]
    stop_url: str


@dataclass(frozen=True)
class PausedLine:
    """A rule that set off too much; `url` is where an administrator resumes it."""

    rule: str
    reason: str
    at: datetime
    url: str


@dataclass(frozen=True)
class Overview:
    """What the safety page shows. `n_vendors` is of all; those that are quiet have no line."""

    switches: tuple[SwitchLine, ...]
    paused: tuple[PausedLine, ...]
    in_flight: Use
    troubled: tuple[VendorLine, ...]
    busy: tuple[VendorLine, ...]
    n_vendors: int
