"""The only place that reads a case from rows: what was reported around an incident, and what was changed before it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from awfdrs_site.lib import ids
from incidents import models
from incidents.analysis import payloads
from incidents.analysis.case import Case, Change, Report
from incidents.analysis.facts import text_of
from incidents.models import Incident
from incidents.states import Outcome
from tenants.models import JournalEntry

REPORTS = 2000  # read at most; of more, as many from each slice of the time
SLICES, EACH = 28, 60
BACK = (
    6 * 3600,
    2 * 3600,
    1800,
    300,
    60,
    10,
)  # seconds before it: slices too, the nearer the finer
BEFORE = timedelta(hours=6)  # how things were before it is half of the answer
LONGEST = timedelta(days=7)
SETTLES = timedelta(
    minutes=1
)  # what is received later than this after the last event is no part of it
CHANGES_BEFORE = timedelta(hours=24)
CHANGES = 200

_SPAN = """
select (select id from incidents_eventlink where tenant_id = %(tenant)s and incident_id = %(incident)s
        order by id limit 1) as first,
       (select id from incidents_eventlink where tenant_id = %(tenant)s and incident_id = %(incident)s
        order by id desc limit 1) as last
"""
_COLUMNS = """
event.id, event.occurred_at, workflow.slug, event.vendor_name, event.event_type, event.payload, event.extra,
event.run_ref, link.outcome, link.incident_id
"""
# The newest first, alone: on tables that grow too fast to be analysed, a join of both can be planned as every pair.
_LATEST = f"""
with link as materialized (
  select id, tenant_id, outcome, incident_id from incidents_eventlink
  where tenant_id = %(tenant)s and id >= %(low)s and id < %(high)s order by id desc limit %(most)s
)
select {_COLUMNS} from link
join events_event event on event.tenant_id = link.tenant_id and event.id = link.id
join tenants_workflow workflow on workflow.tenant_id = event.tenant_id and workflow.id = event.workflow_id
where event.tenant_id = %(tenant)s and event.id >= %(low)s and event.id < %(high)s
order by event.id desc
"""  # noqa: S608  # of constants
# Each slice is one short walk along the index: the cost is that of the sample, however busy the time was.
_SAMPLED = f"""
with slice as materialized (
  select low, high from unnest(%(lows)s::uuid[], %(highs)s::uuid[]) as slice (low, high)
), sampled as materialized (
  select event.* from slice, lateral (
    select * from events_event
    where tenant_id = %(tenant)s and id >= slice.low and id < slice.high order by id limit %(each)s
  ) event
)
select {_COLUMNS} from sampled event
join incidents_eventlink link on link.tenant_id = event.tenant_id and link.id = event.id
join tenants_workflow workflow on workflow.tenant_id = event.tenant_id and workflow.id = event.workflow_id
where event.tenant_id = %(tenant)s
order by event.id desc
"""  # noqa: S608
_FAILED: dict[str, bool | None] = {Outcome.FAILURE: True, Outcome.SUCCESS: False}
_CONFIGURED = {
    "rule_changed": "rule change",
    "kill_switch_activated": "kill switch",
    "kill_switch_lifted": "lifted kill switch",
    "breaker_forced_open": "breaker change",
    "breaker_forced_closed": "breaker change",
    "breaker_opened": "breaker change",
    "breaker_closed": "breaker change",
}


@dataclass(frozen=True, slots=True)
class Row:
    """An event with what the digest made of it, as the statements above return it."""

    id: UUID
    occurred_at: datetime
    workflow: str
    vendor: str
    event_type: str
    payload: Any
    extra: Any
    run: str
    outcome: str
    incident_id: UUID | None


@dataclass(frozen=True)
class Read:
    """A case with how much of it was read."""

    case: Case
    is_sample: bool
    is_settled: bool  # nothing that is received from now on belongs to it


def read(incident: Incident, *, now: datetime) -> Read | None:
    """None where no event of it is left."""
    span = _span(incident)
    if span is None:
        return None
    first, last = span
    began, until = ids.made_at(first), ids.made_at(last) + SETTLES
    rows, is_sample = _rows(incident.tenant_id, first=max(began, until - LONGEST), until=until)
    case = _case(incident, rows)
    return Read(case, is_sample, is_settled=now > until + SETTLES) if case else None


def _span(incident: Incident) -> tuple[UUID, UUID] | None:
    with connection.cursor() as cursor:
        cursor.execute(_SPAN, {"tenant": incident.tenant_id, "incident": incident.pk})
        first, last = cursor.fetchone()
    return (first, last) if first else None


def _rows(tenant_id: UUID, *, first: datetime, until: datetime) -> tuple[list[Row], bool]:
    """What was received meanwhile and before, newest first, and whether it is only a sample of that.

    A past that is posted in one go is one burst: slices are of the time in which it was received.
    """
    bounds = {"tenant": tenant_id, "low": _floor(first - BEFORE), "high": _floor(until)}
    found = _asked(_LATEST, bounds | {"most": REPORTS + 1})
    if len(found) <= REPORTS:
        return found, False
    lasts = until - SETTLES - first + timedelta(seconds=1)
    before = [first - timedelta(seconds=seconds) for seconds in BACK]
    edges = [*before, *(first + lasts * k / SLICES for k in range(SLICES + 1))]
    found_at = [_floor(edge) for edge in edges]
    sliced = {"lows": found_at[:-1], "highs": found_at[1:], "each": EACH}
    return _asked(_SAMPLED, {"tenant": tenant_id} | sliced), True


def _asked(statement: str, values: dict[str, Any]) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return [Row(*row) for row in cursor.fetchall()]


def _floor(moment: datetime) -> UUID:
    """The smallest id of that millisecond."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def _case(incident: Incident, rows: Iterable[Row]) -> Case | None:
    """From some hours before the first failure to the last; by when things happened, not by when we heard."""
    reports = sorted((_report(row, incident.pk) for row in rows), key=lambda r: (r.at, r.id))
    mine = [report.at for report in reports if report.is_mine and report.failed]
    if not mine:
        return None
    start, end = max(mine[0] - BEFORE.total_seconds(), mine[-1] - LONGEST.total_seconds()), mine[-1]
    within = tuple(report for report in reports if start <= report.at <= end)
    return Case(start, end, within, tuple(_changes(incident.tenant_id, start=start, end=end)))


def _report(row: Row, incident_id: UUID) -> Report:
    said = row.payload if isinstance(row.payload, dict) else {}
    return Report(
        id=row.id,
        at=row.occurred_at.timestamp(),
        workflow=row.workflow,
        vendor=row.vendor,
        step=text_of(said.get("step")) or row.event_type.rpartition(".")[0] or row.event_type,
        run=row.run,
        failed=_FAILED.get(row.outcome),
        is_mine=row.incident_id == incident_id,
        attributes=payloads.attributes(said, row.extra),
    )


def _changes(tenant_id: UUID, *, start: float, end: float) -> Iterator[Change]:
    since = datetime.fromtimestamp(start, tz=UTC) - CHANGES_BEFORE
    until = datetime.fromtimestamp(end, tz=UTC)
    told = models.Change.objects.for_tenant(tenant_id).filter(occurred_at__range=(since, until))
    for row in told.select_related("workflow", "vendor").order_by("-occurred_at", "-id")[:CHANGES]:
        yield Change(
            at=row.occurred_at.timestamp(),
            kind=row.kind,
            summary=row.summary,
            workflow=row.workflow.slug if row.workflow else "",
            vendor=row.vendor.name if row.vendor else "",
        )
    lines = JournalEntry.objects.for_tenant(tenant_id).filter(verb__in=_CONFIGURED)
    for line in lines.filter(at__range=(since, until)).order_by("-at", "-id")[:CHANGES]:
        yield _configured(line)


def changes_about(incident: Incident, *, most: int = 20) -> list[models.Change]:
    """Changes that somebody told us of, from a day before it began, latest first."""
    mine = models.Change.objects.for_tenant(incident.tenant_id)
    since = incident.first_seen_at - CHANGES_BEFORE
    about = mine.filter(occurred_at__range=(since, incident.last_seen_at))
    return list(about.order_by("-occurred_at", "-id")[:most])


def _configured(line: JournalEntry) -> Change:
    """What was done here, as a change: a rule, a switch, a breaker."""
    rule, _, target = str(line.detail.get("rule", "")).partition(" ")
    scope = str(line.detail.get("scope", rule))
    named = str(line.detail.get("target", target.partition(" ")[0]))
    return Change(
        at=line.at.timestamp(),
        kind=_CONFIGURED[line.verb],
        summary=f"{line.verb.replace('_', ' ')} {line.detail.get('vendor') or f'{scope} {named}'}".strip(),
        workflow=named if scope == "workflow" else "",
        vendor=str(line.detail.get("vendor", named if scope == "vendor" else "")),
    )
