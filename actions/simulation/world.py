"""The only place that keeps what a pass over the days holds to be the case, and what comes next in it."""

import heapq
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final
from uuid import UUID

from actions.models import Action
from actions.simulation.change import Change
from actions.simulation.kept import Past, Planned
from actions.simulation.story import AttemptKey, IncidentKey, Story
from actions.simulation.virtual import Book
from incidents.learning import Leaves
from incidents.models import Decision, Incident, Run
from incidents.reading import Reading
from incidents.runs import Key
from incidents.states import OPEN
from incidents.states import Status as IncidentStatus
from safety import rules
from safety.breaker import Watched
from safety.effective import Override
from safety.models import CircuitBreaker
from tenants.models import Vendor

LAG: Final = timedelta(seconds=1)  # from an event to its decision, where none is recorded
MOST_STEPS: Final = 500_000
BEAT_STEPS: Final = 500

Do = Callable[..., None]


class TooMuch(Exception):
    """The change sets off more than a simulation goes through."""


@dataclass(eq=False)
class Case:
    """An incident of a pass. `is_new`: opened within the days, so that the pass moves it by itself."""

    key: IncidentKey
    incident: Incident
    is_new: bool
    real_id: UUID | None = None
    told_at: datetime | None = None  # the opening that people were called for
    decision: Decision | None = None
    unplanned: dict[Key, Run] = field(default_factory=dict)
    runs: dict[UUID, Run] = field(default_factory=dict)


@dataclass(eq=False)
class Plan:
    """A run's retry in a pass, beside the recorded one."""

    key: AttemptKey  # of its first attempt
    action: Action
    run: Run
    case: Case
    recorded: Planned | None
    last_at: datetime | None = None
    was_asked: bool = False
    is_judged: bool = False


@dataclass(eq=False)
class World:
    """`hear`: what the world does with an event that comes of an attempt."""

    past: Past
    change: Change
    leaves: Mapping[UUID, Leaves]
    assumed: str
    hear: Do
    succeeded_at: Mapping[Key, list[datetime]] = field(default_factory=dict)
    story: Story = field(default_factory=Story)
    book: Book = field(default_factory=Book)
    open: dict[str, Case] = field(default_factory=dict)  # by signature
    closed: dict[str, Case] = field(default_factory=dict)
    of_real: dict[UUID, Case] = field(default_factory=dict)
    runs: dict[Key, Run] = field(default_factory=dict)
    cases: dict[UUID, list[Case]] = field(default_factory=lambda: defaultdict(list))  # by run
    plans: dict[tuple[Key, int], list[Plan]] = field(default_factory=lambda: defaultdict(list))
    arrivals: dict[UUID, datetime] = field(default_factory=dict)  # of the buckets, by vendor
    withheld: dict[AttemptKey, list[tuple[timedelta, Reading]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _places: dict[str, int] = field(default_factory=dict)
    _breakers: dict[UUID, CircuitBreaker] = field(default_factory=dict)
    _known: dict[int, list[Override]] = field(default_factory=dict)
    _queue: list[tuple[datetime, int, int, Do, tuple[Any, ...]]] = field(default_factory=list)
    _order: "count[int]" = field(default_factory=count)

    def at(self, moment: datetime, rank: int, do: Do, *about: Any) -> None:
        """Do it then; of what is due at one moment the lower rank comes first."""
        heapq.heappush(self._queue, (moment, rank, next(self._order), do, about))

    def run_until(self, end: datetime, *, beat: Callable[[], None]) -> None:
        for steps in count(1):
            if not self._queue or self._queue[0][0] > end:
                return
            if steps > MOST_STEPS:
                raise TooMuch(f"The change sets off more than {MOST_STEPS:,} steps.")
            if steps % BEAT_STEPS == 0:
                beat()
            now, _, _, do, about = heapq.heappop(self._queue)
            do(self, *about, now=now)

    def known(self, now: datetime) -> list[Override]:
        """The rules that are held to be in force: those saved by then, and the proposed ones."""
        place = self.past.known(now)
        if place not in self._known:
            saved = [override for _, override in self.past.rules[:place]]
            self._known[place] = self.change.overrides(saved)
        return self._known[place]

    def next_key(self, signature: str) -> IncidentKey:
        self._places[signature] = self._places.get(signature, 0) + 1
        return IncidentKey(signature, self._places[signature])

    def file(self, case: Case) -> None:
        """Under the open or the closed ones, as its status says; one of each signature."""
        here, there = self.open, self.closed
        if case.incident.status not in OPEN:
            here, there = there, here
        here[case.key.signature] = case
        if there.get(case.key.signature) is case:
            del there[case.key.signature]

    def watched(self, vendor: Vendor, now: datetime) -> Watched:
        row = self._breakers.get(vendor.pk)
        if row is None:
            row = CircuitBreaker(tenant_id=vendor.tenant_id, vendor_id=vendor.pk)
            self._breakers[vendor.pk] = row
        return Watched(row, rules.effective_of_vendor(vendor, known=self.known(now)))

    def call_people(self, case: Case) -> None:
        """Once an opening."""
        incident = case.incident
        if incident.status in OPEN and incident.status != IncidentStatus.ESCALATED:
            incident.status = IncidentStatus.ESCALATED
        if case.told_at != incident.opened_at:
            case.told_at = incident.opened_at
            self.story.told[case.key] += 1


def middle() -> float:
    """Jitter's dice, always the same: two passes that differ in nothing must not differ by chance."""
    return 0.5
