"""The only place that resolves incidents nothing is heard of any more (docs/adr/0006-quiet.md)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db.models import CharField, F, Q
from django.db.models.functions import Cast

from awfdrs_site.lib import sweeping
from awfdrs_site.lib.ids import made_at
from incidents import keeping, lifecycle
from incidents.models import Incident, Run
from incidents.querysets import RunQuerySet
from incidents.states import OPEN, RunState
from tenants import scoping
from tenants.journal import SYSTEM

SWEEP = 200

# By when we received the last failure, which its id tells: `last_seen_at` is what its sender says. Nothing is
# closed while the tenant's inbox is behind: what still waits there may be the very failure that is missing.
_QUIET = """
with clock as materialized (
  select awf_now() as now
), behind as materialized (
  select distinct tenant_id from events_pendingevent pending, clock
  where pending.poisoned_at is null and pending.received_at < clock.now - interval '10 seconds'
)
select incident.tenant_id, incident.id, incident.last_seen_at
from clock, incidents_incident incident
join tenants_workflow workflow
  on workflow.tenant_id = incident.tenant_id and workflow.id = incident.workflow_id
where incident.status in ('detected', 'analyzing', 'escalated')
  and (incident.last_seen_at, incident.id) > (%(seen_at)s, %(id)s)
  and not incident.is_storm and incident.planned_at is not null
  and incident.opened_at < clock.now - make_interval(mins => workflow.quiet_minutes)
  and (incident.last_event_id is null or to_timestamp(
    ('x' || left(replace(incident.last_event_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0)
      < clock.now - make_interval(mins => workflow.quiet_minutes))
  and (incident.unrecovered_runs = 0 or not exists (
    select from incidents_affectedrun line join incidents_run run
      on run.tenant_id = line.tenant_id and run.id = line.run_id
    where line.tenant_id = incident.tenant_id and line.incident_id = incident.id
      and (run.state = 'retry_scheduled' or run.state = 'failed'
        and (run.planned_at is null or run.run_id <> run.last_event_id::text))))
  and incident.tenant_id not in (select tenant_id from behind)
order by incident.last_seen_at, incident.id limit %(limit)s
"""

Place = tuple[datetime, UUID]  # in the index of open incidents: last_seen_at, id
FIRST: Place = (datetime.min.replace(tzinfo=UTC), UUID(int=0))
HasOpenActions = Callable[[UUID, UUID], bool]  # tenant id, incident id


def resolve_quiet(*, has_open_actions: HasOpenActions, limit: int = SWEEP) -> int:
    """The sweep: resolve what was quiet for as long as its workflow says; returns how many.

    `has_open_actions` is what the layer above knows: an approval, a call or a message that is still
    open keeps its incident open.
    """
    resolved: list[UUID] = []
    page, after = _find(FIRST, limit)
    while page:
        sweeping.each(
            page,
            lambda tenant_id, incident_id: resolved.extend(
                _resolve(tenant_id, incident_id, has_open_actions)
            ),
        )
        # Those that stay open must not stand before the others for ever: the sweep goes on behind them.
        page, after = _find(after, limit)
    return len(resolved)


def _find(after: Place, limit: int) -> tuple[list[tuple[UUID, UUID]], Place]:
    rows = scoping.found(_QUIET, {"seen_at": after[0], "id": after[1], "limit": limit})
    last = (rows[-1][2], rows[-1][1]) if rows else after
    return [(row[0], row[1]) for row in rows], last


def _resolve(tenant_id: UUID, incident_id: UUID, has_open_actions: HasOpenActions) -> list[UUID]:
    with scoping.bound(tenant_id, durable=True) as now:
        mine = Incident.objects.for_tenant(tenant_id).select_related("workflow")
        minutes = mine.get(pk=incident_id).workflow.quiet_minutes
        incident = keeping.locked(mine.get(pk=incident_id), with_sharers=True)
        if minutes is None or not _is_quiet(incident, minutes, now=now):
            return []
        if has_open_actions(tenant_id, incident_id):
            return []
        lifecycle.resolve(
            incident,
            by=SYSTEM,
            now=now,
            reason=f"Quiet for {minutes} {'minute' if minutes == 1 else 'minutes'}.",
            waive_unrecovered=True,
        )
    return [incident_id]


def _is_quiet(incident: Incident, minutes: int, *, now: datetime) -> bool:
    """The statement's conditions once more, now that nobody can change the incident."""
    heard_at = made_at(incident.last_event_id) if incident.last_event_id else incident.opened_at
    is_settled = incident.status in OPEN and incident.planned_at is not None
    since = now - timedelta(minutes=minutes)
    if not is_settled or max(heard_at, incident.opened_at) >= since:
        return False
    return not _waiting_for(incident).exists()


def _waiting_for(incident: Incident) -> RunQuerySet:
    """The runs that keep it open: those being retried, those nobody planned for, and hurt ones with a name."""
    hurt = Run.objects.for_tenant(incident.tenant_id).of_incident(incident.pk).unrecovered()
    named = ~Q(run_id=F("own_id"))
    known = hurt.annotate(own_id=Cast("last_event_id", CharField()))
    return known.filter(Q(state=RunState.RETRY_SCHEDULED) | Q(planned_at=None) | named)
