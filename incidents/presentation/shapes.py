"""The only contract between the incident views and their templates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from incidents.presentation.causes import Causes
from incidents.presentation.checklist import Checklist
from incidents.presentation.figures import (
    Apart,
    Chart,
    Component,
    Count,
    Numbered,
    Share,
    Span,
    UpTo,
)
from incidents.presentation.list_shapes import Narrow
from incidents.presentation.recommended import Recommended


@dataclass(frozen=True)
class Outlook:
    """What the layer above plans for an incident; the composition root passes it in as `Above`.

    `kind` is retrying | calling | approval | parked | unknown | verifying | storm. `gates` are those
    that hold the incident as a whole, whatever its actions do.
    """

    kind: str
    attempt: int = 0  # the one under way, or the next
    attempts_max: int = 0
    at: datetime | None = None
    reason: str = ""
    n_waiting: int = 0
    attempts_made: int = 0
    gates: tuple[Mapping[str, Any], ...] = ()


Outlooks = Callable[[UUID, Sequence[UUID]], Mapping[UUID, Outlook]]


@dataclass(frozen=True)
class Above:
    """What the layer above knows of incidents: (tenant id, incident ids) -> outlooks,
    tenant id -> the incidents that wait for a person (ids, or a subquery of them), and
    (incident, actor, verbs) -> what that person is asked to allow on its page."""

    outlooks: Outlooks
    waiting_for_people: Callable[[UUID], Any]
    asked: Callable[..., tuple[Any, ...]] = lambda *_: ()


NOTHING_ABOVE = Above(lambda _tenant_id, _incident_ids: {}, lambda _tenant_id: ())


@dataclass(frozen=True)
class Pill:
    kind: str
    icon: str
    word: str


@dataclass(frozen=True)
class NextStep:
    """What the machine does next: "Retry 2 of 5", "next in", an instant. `kind` colours it like a pill."""

    kind: str
    icon: str
    text: str
    until: str = ""
    at: datetime | None = None
    detail: str = ""


@dataclass(frozen=True)
class Ledger:
    """The runs an incident hurt, and how many of them are still to be recovered."""

    affected: int
    left: int

    @property
    def percent(self) -> int:
        """Of runs that nobody waits for any more."""
        return 100 * (self.affected - self.left) // self.affected if self.affected else 0


@dataclass(frozen=True)
class Row:
    id: UUID
    url: str
    number: str
    title: str
    severity: str
    workflow: str
    vendor: str
    pill: Pill
    next: NextStep
    ledger: Ledger
    event_count: int
    last_seen_at: datetime
    assignee: str
    version: int
    chart: Chart | None = None
    narrows: tuple[Narrow, ...] = ()
    is_gone: bool = False  # left the filter while the page was open: dims, and stays where it is


@dataclass(frozen=True)
class ListPage(Numbered):
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Tab:
    slug: str
    label: str
    url: str
    count: UpTo | None
    is_current: bool


@dataclass(frozen=True)
class Verb:
    """A button. `asks` names the fields it needs: nothing, a reason, or (resolve) a waiver."""

    name: str
    label: str
    url: str
    asks: str = ""
    hint: str = ""

    @property
    def is_frequent(self) -> bool:
        """Stands in the bar itself on a phone too, where the others are behind its last button."""
        return self.name in {"acknowledge", "resolve", "snooze", "wake", "reopen"}


@dataclass(frozen=True)
class Gate:
    name: str
    passed: bool
    value: Any
    limit: Any
    source: str
    clears_at: datetime | None
    detail: str


@dataclass(frozen=True)
class Decided:
    url: str
    icon: str
    kind: str
    headline: str
    how: str
    category: str
    confidence_percent: int
    reasons: tuple[str, ...]
    gates: tuple[Gate, ...]
    rules: tuple[tuple[str, Any, str], ...]
    at: datetime
    engine_version: str


@dataclass(frozen=True)
class RunLine:
    """A run in a list. `says` is what became of it, in a few words."""

    id: UUID
    url: str
    run_id: str
    workflow: str
    incident: str  # INC-12: where it failed last
    title: str
    pill: Pill
    says: str
    failed_at: datetime | None
    recovered_at: datetime | None


@dataclass(frozen=True)
class Neighbour:
    """Another incident, and what keeps it apart from this one."""

    url: str
    number: str
    title: str
    pill: Pill
    last_seen_at: datetime
    percent: int
    same: tuple[str, ...]
    different: tuple[Apart, ...]
    shared: tuple[str, ...] = ()
    done: str = ""
    worked: str = ""


@dataclass(frozen=True)
class Why:
    """Why these events are one incident, and which others are near."""

    components: tuple[Component, ...]
    signature: str
    version: int
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True)
class Moment:
    """One line of the timeline."""

    mark: str
    icon: str
    text: str
    detail: str
    actor: str
    at: datetime
    note: str = ""  # HTML, cleaned by `notes`


@dataclass(frozen=True)
class Day:
    label: str
    moments: tuple[Moment, ...]


@dataclass(frozen=True)
class Badge:
    kind: str
    word: str
    until: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class Safety:
    breaker: Badge | None
    switch: Badge
    switch_reason: str
    attempts: str
    attempts_percent: int
    stop_url: str = ""  # for those who may


@dataclass(frozen=True)
class Member:
    """A signature that a merge brought here, told by its own incident."""

    url: str
    number: str
    title: str
    n_events: int
    signature: str


@dataclass(frozen=True)
class Members:
    """What is counted on an incident: its own failure's events, and those of others."""

    n_own: int
    others: tuple[Member, ...]
    merge_url: str = ""  # for those who may, while it is open
    split_url: str = ""


@dataclass(frozen=True)
class Reference:
    """Another incident, named."""

    number: str
    url: str


@dataclass(frozen=True)
class Storm:
    """Of a storm its incidents, most urgent first; of one of them only the storm it is part of."""

    number: str
    url: str
    incidents: tuple[Row, ...] = ()
    n_more: int = 0


@dataclass(frozen=True)
class Detail:
    row: Row
    first_seen_at: datetime
    category: str
    error_code: str
    acknowledged_at: datetime | None
    acknowledged_by: str
    regression_count: int
    verbs: tuple[Verb, ...]
    decision: Decided | None
    earlier_decisions: int
    counts: tuple[Count, ...]
    shares: tuple[Share, ...]
    runs: tuple[RunLine, ...]
    runs_url: str
    n_more_runs: int
    days: tuple[Day, ...]
    parts: tuple[Span, ...]  # of the timeline
    safety: Safety
    chart: Chart
    spans: tuple[Span, ...]
    why: Why
    causes: Causes
    recommended: Recommended
    payload: str
    payload_at: datetime | None
    previous_url: str = ""
    next_url: str = ""
    storm: Storm | None = None
    members: Members | None = None
    checklist: Checklist | None = None
    merged: Reference | None = None
    note_url: str = ""  # for those who may write one
    snoozed: str = ""  # what ends its snooze

    @property
    def rare_verbs(self) -> tuple[Verb, ...]:
        return tuple(verb for verb in self.verbs if not verb.is_frequent)
