"""Writes what a digested batch makes of runs: their states, the ledger lines, the incidents' counts."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from awfdrs_site.lib.ids import uuid7
from incidents import ledger
from incidents.ledger import RunView
from incidents.models import AffectedRun, Incident, Run
from incidents.reading import Reading
from incidents.states import UNRECOVERED, RunState
from tenants import journal
from tenants.querysets import TenantQuerySet

Key = tuple[str, str]  # workflow id, run id
_RECOVERED = (RunState.RECOVERED_AUTO, RunState.RECOVERED_BY_ACTION)
_COLUMNS = [
    "state",
    "episode",
    "incident",
    "planned_at",
    "attempted_at",
    "first_failed_at",
    "last_failed_at",
    "failure_received_at",
    "last_event_id",
    "succeeded_at",
    "success_occurred_at",
    "success_event_id",
    "recovered_at",
    "recovery_note",
    "version",
]


@dataclass(frozen=True)
class Touched:
    """What the batch did: run of each key, and the incidents that have no hurt run left."""

    runs: dict[Key, Run]
    recovered: list[Incident]


def incidents_behind(tenant_id: UUID, readings: Iterable[Reading]) -> TenantQuerySet[AffectedRun]:
    """The ledger lines that these reports may move: their incidents are locked before any run is."""
    keys = {key for r in readings if r.report and (key := r.run_key)}
    mine: TenantQuerySet[AffectedRun] = AffectedRun.objects.for_tenant(tenant_id)
    return mine.filter(
        run__run_id__in={run_id for _, run_id in keys},
        run__workflow_id__in={workflow for workflow, _ in keys},
    )


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
    lines = _ledger(tenant_id, runs.values())
    moves: Counter[UUID] = Counter()
    new_lines: list[AffectedRun] = []
    for key, said in reports.items():
        run = runs.setdefault(key, _new(tenant_id, key))
        was_hurt = run.state in UNRECOVERED
        _fold(run, said, incidents, now=now)
        is_hurt = run.state in UNRECOVERED
        for incident_id in lines[run.pk]:
            moves[incident_id] += is_hurt - was_hurt
        for incident_id in _hurt_by(said, incidents) - lines[run.pk]:
            new_lines.append(
                AffectedRun(tenant_id=tenant_id, incident_id=incident_id, run_id=run.pk)
            )
            moves[incident_id] += is_hurt
    _save(runs.values())
    AffectedRun.objects.bulk_create(new_lines)
    recovered = _count(tenant_id, moves, Counter(line.incident_id for line in new_lines))
    return Touched(runs, recovered)


def _locked(tenant_id: UUID, reports: Mapping[Key, object]) -> dict[Key, Run]:
    found = Run.objects.for_tenant(tenant_id).filter(
        workflow_id__in={workflow for workflow, _ in reports},
        run_id__in={run_id for _, run_id in reports},
    )
    return {
        (str(run.workflow_id), run.run_id): run
        for run in found.select_for_update().order_by("id")
        if (str(run.workflow_id), run.run_id) in reports
    }


def _ledger(tenant_id: UUID, runs: Iterable[Run]) -> defaultdict[UUID, set[UUID]]:
    lines: defaultdict[UUID, set[UUID]] = defaultdict(set)
    mine = AffectedRun.objects.for_tenant(tenant_id).filter(run__in=[run.pk for run in runs])
    for run_id, incident_id in mine.values_list("run_id", "incident_id"):
        lines[run_id].add(incident_id)
    return lines


def _new(tenant_id: UUID, key: Key) -> Run:
    run = Run(id=uuid7(), tenant_id=tenant_id, workflow_id=UUID(key[0]), run_id=key[1])
    run.version = 0  # not stored yet
    return run


def _hurt_by(said: Sequence[Reading], incidents: Mapping[str, Incident]) -> set[UUID]:
    return {incidents[r.counted_as].pk for r in said if r.counted_as in incidents}


def _fold(
    run: Run, said: Sequence[Reading], incidents: Mapping[str, Incident], *, now: datetime
) -> None:
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
            run.incident = incidents[reading.counted_as]
            run.planned_at = run.attempted_at = run.recovered_at = None
            run.recovery_note = ""
    if view.last_event_id != before.last_event_id:
        run.failure_received_at = now
    if view.success_event_id != before.success_event_id:
        run.succeeded_at = now
    if view.state in _RECOVERED and before.state not in _RECOVERED:
        run.recovered_at = now
    run.state, run.episode = view.state, view.episode
    run.first_failed_at, run.last_failed_at = view.first_failed_at, view.last_failed_at
    run.last_event_id = view.last_event_id
    run.success_occurred_at, run.success_event_id = view.success_occurred_at, view.success_event_id
    run.version += 1


def _save(runs: Iterable[Run]) -> None:
    runs = list(runs)
    Run.objects.bulk_create([run for run in runs if run.version == 1 and run._state.adding])
    Run.objects.bulk_update([run for run in runs if run.version > 1], _COLUMNS)
    for run in runs:
        journal.announce(run)


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
