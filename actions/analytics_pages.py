"""The only place that gathers and words analytics, and writes them as a spreadsheet that computes nothing."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.urls import reverse

from actions import recovered
from actions.recovered import Recovered, Retries
from incidents import analytics
from incidents.analytics import Noisy, Took
from incidents.presentation.figures import Span
from incidents.presentation.runs import lasted
from tenants.audit_export import harmless

RANGES = {
    "24h": ("24 hours", timedelta(hours=24)),
    "7d": ("7 days", timedelta(days=7)),
    "30d": ("30 days", timedelta(days=30)),
    "90d": ("90 days", timedelta(days=90)),
}
SHOWN_FIRST = "7d"
COLUMNS = ("table", "name", "figure", "value")
NOTHING = "–"


@dataclass(frozen=True)
class Figure:
    """One number with what it is of: a share without its denominator says nothing."""

    label: str
    value: str
    of: str


@dataclass(frozen=True)
class NoisyLine:
    title: str
    url: str
    number: str
    workflow: str
    n_incidents: int
    n_events: int
    n_regressions: int


@dataclass(frozen=True)
class Analytics:
    span: str
    spans: tuple[Span, ...]
    figures: tuple[Figure, ...]
    retries: tuple[Retries, ...]
    noisy: tuple[NoisyLine, ...]
    sheet_url: str


@dataclass(frozen=True)
class _Measured:
    n_opened: int
    acknowledged: Took
    resolved: Took
    recovered: Recovered
    retries: tuple[Retries, ...]
    noisy: tuple[Noisy, ...]


def shown(tenant_id: UUID, range_: str, *, now: datetime) -> Analytics:
    span, measured = RANGES[range_][0], _measure(tenant_id, range_, now=now)
    page, sheet = reverse("actions:analytics"), reverse("actions:analytics-sheet")
    return Analytics(
        span=span,
        spans=tuple(
            Span(said, f"{page}?range={key}", key == range_) for key, (said, _) in RANGES.items()
        ),
        figures=tuple(_figures(measured, span)),
        retries=measured.retries,
        noisy=tuple(map(_line, measured.noisy)),
        sheet_url=f"{sheet}?range={range_}",
    )


def sheet(tenant_id: UUID, range_: str, *, now: datetime) -> str:
    """The same figures, a line each; durations in whole seconds."""
    written = io.StringIO()
    rows = csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    rows.writerow(COLUMNS)
    for row in _rows(_measure(tenant_id, range_, now=now)):
        rows.writerow([harmless(str(cell)) for cell in row])
    return written.getvalue()


def _measure(tenant_id: UUID, range_: str, *, now: datetime) -> _Measured:
    since = now - RANGES[range_][1]
    return _Measured(
        n_opened=analytics.opened(tenant_id, since),
        acknowledged=analytics.acknowledged(tenant_id, since),
        resolved=analytics.resolved(tenant_id, since),
        recovered=recovered.since(tenant_id, since),
        retries=recovered.retries(tenant_id, since),
        noisy=analytics.noisy(tenant_id, since),
    )


def _figures(measured: _Measured, span: str) -> Iterator[Figure]:
    seen, over, runs = measured.acknowledged, measured.resolved, measured.recovered
    yield Figure("Incidents opened", f"{measured.n_opened:,}", f"in {span}")
    yield Figure(
        "Mean time to acknowledge",
        _lasted(seen.mean),
        f"median {_lasted(seen.median)}, of {seen.n:,} acknowledged among {measured.n_opened:,} opened",
    )
    yield Figure(
        "Mean time to resolve",
        _lasted(over.mean),
        f"median {_lasted(over.median)}, of {over.n:,} resolved",
    )
    yield Figure(
        "Recovered alone",
        f"{runs.percent} %" if runs.n_failed else NOTHING,
        f"{runs.alone:,} of {runs.n_failed:,} runs that failed; {runs.helped:,} with a person, "
        f"{runs.waived:,} waived, {runs.left:,} left",
    )


def _line(noisy: Noisy) -> NoisyLine:
    latest = noisy.latest
    return NoisyLine(
        title=latest.title,
        url=latest.get_absolute_url(),
        number=str(latest),
        workflow=latest.workflow.slug,
        n_incidents=noisy.n_incidents,
        n_events=noisy.n_events,
        n_regressions=noisy.n_regressions,
    )


def _rows(measured: _Measured) -> Iterator[tuple[Any, ...]]:
    yield "incidents", "", "opened", measured.n_opened
    for name, took in (("acknowledged", measured.acknowledged), ("resolved", measured.resolved)):
        yield "incidents", name, "incidents", took.n
        yield "incidents", name, "mean seconds", _seconds(took.mean)
        yield "incidents", name, "median seconds", _seconds(took.median)
    for name, n in vars(measured.recovered).items():
        yield "runs", "", "failed" if name == "n_failed" else name, n
    for one in measured.retries:
        for fate in ("verified", "not_verified", "failed", "unknown"):
            yield "retries", one.category, fate, getattr(one, fate)
    for line in map(_line, measured.noisy):
        for figure in ("n_events", "n_incidents", "n_regressions"):
            name = f"{line.title} ({line.number})"
            yield "noisy signatures", name, figure.removeprefix("n_"), getattr(line, figure)


def _lasted(time: timedelta | None) -> str:
    return lasted(time) if time is not None else NOTHING


def _seconds(time: timedelta | None) -> int | str:
    return int(time.total_seconds()) if time is not None else ""
