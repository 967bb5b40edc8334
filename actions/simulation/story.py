"""What one pass over the days tells: incidents, attempts, who was asked and told, what vendors bore."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple


class IncidentKey(NamedTuple):
    """The same in every pass: the signature, and which of its incidents."""

    signature: str
    place: int


class AttemptKey(NamedTuple):
    workflow: str
    run: str
    episode: int
    plan: int
    number: int


@dataclass
class Opened:
    """An incident as a pass left it."""

    title: str
    workflow: str
    severity: str
    category: str
    opened_at: datetime
    number: str = ""  # of the real one, if there is one
    choice: str = ""
    event_count: int = 0


@dataclass(frozen=True)
class Attempted:
    at: datetime
    incident: IncidentKey
    ended: str
    is_assumed: bool  # nobody knows how it would have ended


@dataclass
class Story:
    incidents: dict[IncidentKey, Opened] = field(default_factory=dict)
    attempts: dict[AttemptKey, Attempted] = field(default_factory=dict)
    told: Counter[IncidentKey] = field(default_factory=Counter)
    asked: dict[AttemptKey, str] = field(default_factory=dict)  # a retry's first attempt -> why
    loads: dict[str, Counter[datetime]] = field(default_factory=dict)  # vendor -> calls a minute
    openings: Counter[str] = field(default_factory=Counter)  # of breakers, by vendor
    pauses: Counter[str] = field(default_factory=Counter)  # of rules

    def bears(self, vendor: str, at: datetime) -> None:
        minute = at.replace(second=0, microsecond=0)
        self.loads.setdefault(vendor, Counter())[minute] += 1
