"""The only contract between the run views and their templates."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from incidents.presentation.shapes import Day, NextStep, Pill, Row, RunLine, Verb


@dataclass(frozen=True)
class RunPage:
    """One page of the list. `n_matching` is cut at what was counted: then `is_more` says so."""

    lines: tuple[RunLine, ...]
    number: int
    n_matching: int
    is_more: bool
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
class RunDetail:
    id: UUID
    version: int
    run_id: str
    workflow: str
    pill: Pill
    step: NextStep
    first_failed_at: datetime | None
    last_failed_at: datetime | None
    succeeded_at: datetime | None
    recovered_at: datetime | None
    n_failures: int  # how often it failed anew after it had ended
    verbs: tuple[Verb, ...]
    incidents: tuple[Row, ...]
    days: tuple[Day, ...]
    has_more_events: bool  # older ones than are shown
    payload: str
    payload_at: datetime | None
