"""The only contract between the run views and their templates."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from incidents.presentation.figures import Numbered
from incidents.presentation.shapes import Day, NextStep, Pill, Row, RunLine, Verb


@dataclass(frozen=True)
class RunPage(Numbered):
    lines: tuple[RunLine, ...]


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
