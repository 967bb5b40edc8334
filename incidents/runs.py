"""Writes what a digested batch makes of runs: their states, the ledger lines, the incidents' counts."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection

from awfdrs_site.lib.ids import uuid7
from incidents import ledger
from incidents.ledger import RunView
from incidents.models import Incident, Run
from incidents.reading import Reading
from incidents.states import UNRECOVERED, RunState
from tenants import journal

Key = tuple[str, str]  # workflow id, run id
Line = tuple[UUID, UUID]  # incident, the run it hurt
_RECOVERED = (RunState.RECOVERED_AUTO, RunState.RECOVERED_BY_ACTION)
# By keys of two columns each; a filter on both columns apart is slow where the planner does not know the table yet.
_LOCKED = """
with asked as materialized (
  select * from json_to_recordset(%(keys)s::json) as asked (workflow_id uuid, run_id text)
)
select run.* from asked join incidents_run run
  on run.tenant_id = %(tenant)s and run.workflow_id = asked.workflow_id and run.run_id = asked.run_id
order by run.id for update of run
"""
_BEHIND = """
with asked as materialized (
  select * from json_to_recordset(%(keys)s::json) as asked (workflow_id uuid, run_id text)
), found as materialized (
  select run.id from asked join incidents_run run
    on run.tenant_id = %(tenant)s and run.workflow_id = asked.workflow_id and run.run_id = asked.run_id
)
select distinct line.incident_id
from found join incidents_affectedrun line on line.tenant_id = %(tenant)s and line.run_id = found.id
"""
_LEDGER = """
select run_id, incident_id from incidents_affectedrun where tenant_id = %s and run_id = any(%s)
"""
_WRITTEN = {
    "state": "text",
    "incident_id": "uuid",
    "episode": "integer",
    "planned_at": "timestamptz",
    "attempted_at": "timestamptz",
    "first_failed_at": "timestamptz",
    "last_failed_at": "timestamptz",
    "failure_received_at": "timestamptz",
    "last_event_id": "uuid",
    "succeeded_at": "timestamptz",
    "success_occurred_at": "timestamptz",
    "success_event_id": "uuid",
    "recovered_at": "timestamptz",
    "recovery_note": "text",
    "version": "bigint",
}
_TYPES = ", ".join(f"{name} {kind}" for name, kind in _WRITTEN.items())
_NAMES = ", ".join(_WRITTEN)
# One statement with one parameter: a bulk_update writes a CASE of every row for every column.
_UPDATE = f"""
with given as materialized (select * from json_to_recordset(%s::json) as given (id uuid, {_TYPES}))
update incidents_run run set ({_NAMES}) = ({", ".join(f"given.{name}" for name in _WRITTEN)})
from given where run.tenant_id = %s and run.id = given.id
"""  # noqa: S608  # of constants
_INSERT = f"""
insert into incidents_run (id, tenant_id, workflow_id, run_id, {_NAMES})
select id, %s, workflow_id, run_id, {_NAMES}
from json_to_recordset(%s::json) as given (id uuid, workflow_id uuid, run_id text, {_TYPES})
"""  # noqa: S608
_LINES = """
insert into incidents_affectedrun (tenant_id, id, incident_id, run_id)
select %s, line.* from unnest(%s::uuid[], %s::uuid[], %s::uuid[]) as line
"""

_encode = msgspec.json.Encoder().encode  # ids and times without a call of Python for each


@dataclass(frozen=True)
class Touched:
    """What the batch did: run of each key, and the incidents that have no hurt run left."""

    runs: dict[Key, Run]
    recovered: list[Incident]


def incidents_behind(tenant_id: UUID, readings: Iterable[Reading]) -> set[UUID]:
    """The incidents whose ledger these reports may move; to be locked before any run is."""
    keys = {key for r in readings if r.report and (key := r.run_key)}
    if not keys:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(_BEHIND, {"tenant": tenant_id, "keys": _keys_as_json(keys)})
        return {row[0] for row in cursor.fetchall()}


def apply(
    tenant_id: UUID,
    readings: Sequence[Reading],
    incidents: Mapping[str, Incident],
    *,
    now: datetime,
) -> Touched:
    """Fold every report into its run, in the order things happened; incidents are locked already."""
    reports: dict[Key, list[Reading]] = defaultdict(list)
    for reading in sorted(readings, key=lambda r: (r.event.occurred_at, r.event.id)):
        if reading.report is not None and reading.run_key is not None:
            reports[reading.run_key].append(reading)
    if not reports:
        return Touched({}, [])
    runs = _locked(tenant_id, reports)
    lines = _ledger(tenant_id, [run.pk for run in runs.values()])
    moves: Counter[UUID] = Counter()
    new_lines: list[Line] = []
    for key, said in reports.items():
        run = runs.get(key) or runs.setdefault(key, _new(tenant_id, key))
        was_hurt = run.state in UNRECOVERED
        fold(run, said, incidents, now=now)
        is_hurt = run.state in UNRECOVERED
        for incident_id in lines[run.pk]:
            moves[incident_id] += is_hurt - was_hurt
        for incident_id in _hurt_by(said, incidents) - lines[run.pk]:
            new_lines.append((incident_id, run.pk))
            moves[incident_id] += is_hurt
    _save(tenant_id, runs.values())
    _write_lines(tenant_id, new_lines)
    recovered = _count(tenant_id, moves, Counter(incident_id for incident_id, _ in new_lines))
    return Touched(runs, recovered)


def _locked(tenant_id: UUID, keys: Iterable[Key]) -> dict[Key, Run]:
    asked = {"tenant": tenant_id, "keys": _keys_as_json(keys)}
    rows: Iterable[Run] = Run.objects.for_tenant(tenant_id).raw(_LOCKED, asked)
    return {(str(run.workflow_id), run.run_id): run for run in rows}


def _keys_as_json(keys: Iterable[Key]) -> str:
    return _encode([{"workflow_id": workflow, "run_id": run} for workflow, run in keys]).decode()


def _ledger(tenant_id: UUID, run_ids: list[UUID]) -> defaultdict[UUID, set[UUID]]:
    lines: defaultdict[UUID, set[UUID]] = defaultdict(set)
    if run_ids:
        with connection.cursor() as cursor:
            cursor.execute(_LEDGER, [tenant_id, run_ids])
            for run_id, incident_id in cursor.fetchall():
                lines[run_id].add(incident_id)
    return lines


def _new(tenant_id: UUID, key: Key) -> Run:
    """Values in the order of their columns: names and defaults would take twice as long, for every run of a storm."""
    own: dict[str, Any] = {
        "id": uuid7(),
        "tenant_id": tenant_id,
        "workflow_id": UUID(key[0]),
        "run_id": key[1],
    }
    values: Any = (_blank() | own).values()
    return Run(*values)


@cache
def _blank() -> dict[str, Any]:
    run = Run(version=0)  # not stored yet
    return {field.attname: getattr(run, field.attname) for field in Run._meta.concrete_fields}


def _hurt_by(said: Sequence[Reading], incidents: Mapping[str, Incident]) -> set[UUID]:
    return {incidents[r.counted_as].pk for r in said if r.counted_as in incidents}


def fold(
    run: Run, said: Sequence[Reading], incidents: Mapping[str, Incident], *, now: datetime
) -> None:
    """What the reports make of the run, in memory; `incidents` by the signature that they count."""
    view = before = RunView(
        state=run.state,
        episode=run.episode,
        was_attempted=run.attempted_at is not None,
        first_failed_at=run.first_failed_at,
        last_failed_at=run.last_failed_at,
        last_event_id=run.last_event_id,
        success_occurred_at=run.success_occurred_at,
        success_event_id=run.success_event_id,
        waived_at=run.recovered_at if run.state == RunState.WAIVED else None,
    )
    for reading in said:
        assert reading.report is not None
        failed_before = view.is_unrecovered
        view = ledger.fold(view, reading.report)
        if view.is_unrecovered and not failed_before and reading.counted_as:
            run.incident_id = incidents[reading.counted_as].pk
            run.planned_at = run.attempted_at = run.recovered_at = None
            run.recovery_note = ""
    if view.last_event_id != before.last_event_id:
        run.failure_received_at = now
    if view.success_event_id != before.success_event_id:
        run.succeeded_at = now
    if view.state in _RECOVERED and before.state not in _RECOVERED:
        run.recovered_at, run.recovery_note = now, ""
    run.state, run.episode = view.state, view.episode
    run.first_failed_at, run.last_failed_at = view.first_failed_at, view.last_failed_at
    run.last_event_id = view.last_event_id
    run.success_occurred_at, run.success_event_id = view.success_occurred_at, view.success_event_id
    run.version += 1


def _save(tenant_id: UUID, runs: Collection[Run]) -> None:
    """What is new is told by its incident: nobody can have opened it yet."""
    fresh = [run for run in runs if run.version == 1]
    known = [run for run in runs if run.version > 1]
    with connection.cursor() as cursor:
        if fresh:
            cursor.execute(_INSERT, [tenant_id, _as_json(fresh)])
        if known:
            cursor.execute(_UPDATE, [_as_json(known), tenant_id])
    for run in known:
        journal.announce(run)


def _as_json(runs: Iterable[Run]) -> str:
    names = ("id", "workflow_id", "run_id", *_WRITTEN)
    values = attrgetter(*names)
    return _encode([dict(zip(names, values(run), strict=True)) for run in runs]).decode()


def _write_lines(tenant_id: UUID, lines: Sequence[Line]) -> None:
    """One ledger line each."""
    if lines:
        ids = [uuid7() for _ in lines]
        incidents, runs = zip(*lines, strict=True)
        with connection.cursor() as cursor:
            cursor.execute(_LINES, [tenant_id, ids, list(incidents), list(runs)])


def _count(tenant_id: UUID, moves: Mapping[UUID, int], added: Mapping[UUID, int]) -> list[Incident]:
    """Move the incidents' counts and say which have no hurt run left."""
    mine = Incident.objects.for_tenant(tenant_id).filter(pk__in={*moves, *added})
    emptied = []
    for incident in mine.select_for_update().order_by("id"):
        incident.affected_runs += added.get(incident.pk, 0)
        incident.unrecovered_runs += moves.get(incident.pk, 0)
        incident.version += 1
        incident.save(update_fields=["affected_runs", "unrecovered_runs", "version"])
        if incident.unrecovered_runs == 0 and incident.affected_runs:
            emptied.append(incident)
    return emptied
