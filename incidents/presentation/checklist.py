"""The only place that shapes a runbook: prose and steps, and of an incident which of them were done by whom."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse

from incidents import notes, runbook_steps
from incidents.models import Incident, Runbook, StepTick
from tenants.models import Workflow

UNDER = 2  # a runbook stands under a section's heading


@dataclass(frozen=True)
class Line:
    """A step, or prose: that has no key. `html` is cleaned by `notes`."""

    html: str
    key: str = ""
    done_by: str = ""
    done_at: datetime | None = None


@dataclass(frozen=True)
class Checklist:
    """The addresses are empty for those who may not; `stale` are steps whose words have changed since."""

    lines: tuple[Line, ...] = ()
    stale: tuple[Line, ...] = ()
    n_done: int = 0
    n_steps: int = 0
    is_of_workflow: bool = True
    step_url: str = ""
    write_url: str = ""
    write_own_url: str = ""


@dataclass(frozen=True)
class Other:
    """A runbook of one failure only."""

    signature: str
    title: str


@dataclass(frozen=True)
class Written:
    """A workflow's own runbook, of no incident, and what is written beside it."""

    lines: tuple[Line, ...]
    text: str
    version: int
    written_by: str
    written_at: datetime | None
    others: tuple[Other, ...]
    write_url: str


def checklist(
    incident: Incident,
    book: Runbook | None,
    ticks: Mapping[str, StepTick],
    *,
    allowed: Collection[str],
) -> Checklist | None:
    """None where there is nothing to read and nothing to write."""
    may_write = "configure" in allowed and not incident.is_storm
    if book is None and not may_write:
        return None
    lines = tuple(_line(part, ticks) for part in runbook_steps.parts(book.text)) if book else ()
    keys = {line.key for line in lines if line.key}
    is_merged = incident.merged_into_id is not None
    write = reverse("actions:runbook", args=[incident.workflow_id]) if may_write else ""
    return Checklist(
        lines=lines,
        stale=tuple(_stale(tick) for key, tick in ticks.items() if key not in keys),
        n_done=sum(line.done_at is not None for line in lines),
        n_steps=len(keys),
        is_of_workflow=book is None or not book.signature,
        step_url=_step_url(incident) if "comment" in allowed and not is_merged else "",
        write_url=write,
        write_own_url=f"{write}?signature={incident.signature}" if write else "",
    )


def written(workflow: Workflow, books: Sequence[Any]) -> Written:
    own = next((book for book in books if not book.signature), None)
    others = (book for book in books if book.signature and book.text)
    return Written(
        lines=tuple(_line(part, {}) for part in runbook_steps.parts(own.text)) if own else (),
        text=own.text if own else "",
        version=own.version if own else 0,
        written_by=own.written_by if own else "",
        written_at=own.written_at if own else None,
        others=tuple(Other(book.signature, book.title or book.signature) for book in others),
        write_url=reverse("actions:runbook", args=[workflow.pk]),
    )


def _line(part: runbook_steps.Part, ticks: Mapping[str, StepTick]) -> Line:
    html, tick = notes.as_html(part.text, under=UNDER), ticks.get(part.key)
    if tick is None:
        return Line(html, part.key)
    return Line(html, part.key, tick.ticked_by, tick.ticked_at)


def _stale(tick: StepTick) -> Line:
    return Line(notes.as_html(tick.text, under=UNDER), tick.step, tick.ticked_by, tick.ticked_at)


def _step_url(incident: Incident) -> str:
    return reverse("incidents:step", args=[incident.pk])
