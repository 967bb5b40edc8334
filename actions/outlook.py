"""The only place that tells incidents, which lie below, what is planned for them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q

from actions.models import Action
from actions.states import UNSETTLED, ActionType, Status, Verification
from incidents.models import Incident
from incidents.presentation.shapes import Above, Outlook
from incidents.states import OPEN, Choice
from safety import gate

# What is said of an incident with many actions: the first of these that any of them is in.
_ORDER = (
    (f"action.status = '{Status.AWAITING_APPROVAL}'", "approval"),
    (f"action.status = '{Status.UNKNOWN}'", "unknown"),
    (f"action.status = '{Status.IN_PROGRESS}'", "calling"),
    (f"action.status = '{Status.PENDING}'", "retrying"),
    (f"action.status = '{Status.PARKED}'", "parked"),
    (
        f"action.status = '{Status.COMPLETED}' and action.verification = '{Verification.PENDING}'",
        "verifying",
    ),
)
_UNSETTLED = ", ".join(f"'{status}'" for status in UNSETTLED)
_OPEN = ", ".join(f"'{status}'" for status in OPEN)
_RANK = " ".join(f"when {holds} then {rank}" for rank, (holds, _) in enumerate(_ORDER))
# Every page of the list asks. A merged incident's actions are told by the one it was merged into; an index holds
# just what may be told, however much is over.
_TOLD = f"""
select distinct on (shown_on) shown_on, id, rank, attempts_made, attempts_max, run_at, waiting_reason, n_alike
from (
  select each.*, count(*) over (partition by shown_on, rank) as n_alike
  from (
    select coalesce(incident.merged_into_id, incident.id) as shown_on, action.id, case {_RANK} end as rank,
           action.attempts_made, action.attempts_max, action.run_at, action.waiting_reason
    from incidents_incident incident
    join actions_action action on action.tenant_id = incident.tenant_id and action.incident_id = incident.id
    where incident.tenant_id = %(tenant)s
      and (incident.id = any(%(ids)s) or incident.merged_into_id = any(%(ids)s))
      and action.tenant_id = %(tenant)s and action.action_type = '{ActionType.RETRY}'
      and (action.status in ({_UNSETTLED}) or action.verification = '{Verification.PENDING}')
  ) each
  where rank is not null
) told
order by shown_on, rank, run_at, id
"""  # noqa: S608  # states of ours
# Those with more hurt runs than are retried without a person (DESIGN.md rule 15).
_BEYOND = f"""
select incident.id, incident.unrecovered_runs, tenant.storm_runs
from incidents_incident incident join tenants_tenant tenant on tenant.id = incident.tenant_id
where incident.tenant_id = %(tenant)s and incident.id = any(%(ids)s) and incident.status in ({_OPEN})
  and incident.unrecovered_runs > tenant.storm_runs
  and exists (
    select from incidents_decision
    where tenant_id = %(tenant)s and incident_id = incident.id and choice = '{Choice.RETRY}'
  )
"""  # noqa: S608  # states of ours


@dataclass(frozen=True)
class _Told:
    """The action that an incident tells of, and how many stand as it does."""

    incident_id: UUID
    action_id: UUID
    rank: int
    attempts_made: int
    attempts_max: int
    run_at: datetime
    waiting_reason: str
    n_alike: int


def outlooks(tenant_id: UUID, incident_ids: Sequence[UUID]) -> dict[UUID, Outlook]:
    """What happens next in each incident that has something planned or held: two queries."""
    found = {told.incident_id: _outlook(told) for told in _told(tenant_id, incident_ids)}
    for incident_id, storm in _beyond_limit(tenant_id, incident_ids):
        found[incident_id] = _held(storm, found.get(incident_id))
    return found


def told_action(tenant_id: UUID, incident_id: UUID) -> UUID | None:
    """The action that the incident tells of."""
    return next((told.action_id for told in _told(tenant_id, [incident_id])), None)


def waiting_for_people(tenant_id: UUID) -> Any:
    """The incidents with something to approve, as a subquery that an index answers.

    A merged incident is among them beside the one that shows its actions; it is closed.
    """
    mine = Action.objects.for_tenant(tenant_id).filter(status=Status.AWAITING_APPROVAL)
    waiting = mine.exclude(incident=None).order_by().values("incident_id")
    members = Incident.objects.for_tenant(tenant_id).exclude(merged_into=None)
    targets = members.filter(pk__in=waiting).order_by().values("merged_into_id")
    return waiting.union(targets, all=True)


def has_open(tenant_id: UUID, incident_id: UUID) -> bool:
    """Whether anything planned for the incident may still happen, or waits for a person."""
    shown = Incident.objects.for_tenant(tenant_id).with_members(incident_id)
    mine = Action.objects.for_tenant(tenant_id).shown_on(shown)
    unverified = Q(status=Status.COMPLETED, verification=Verification.PENDING)
    return mine.filter(Q(status__in=UNSETTLED) | unverified).exists()


ABOVE = Above(outlooks=outlooks, waiting_for_people=waiting_for_people)


def _told(tenant_id: UUID, incident_ids: Sequence[UUID]) -> Iterator[_Told]:
    return (_Told(*row) for row in _rows(_TOLD, tenant_id, incident_ids))


def _beyond_limit(
    tenant_id: UUID, incident_ids: Sequence[UUID]
) -> Iterator[tuple[UUID, gate.Storm]]:
    for incident_id, hurt, limit in _rows(_BEYOND, tenant_id, incident_ids):
        yield incident_id, gate.Storm(hurt, limit)


def _rows(statement: str, tenant_id: UUID, incident_ids: Sequence[UUID]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"tenant": tenant_id, "ids": list(incident_ids)})
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _held(storm: gate.Storm, planned: Outlook | None) -> Outlook:
    """The retries that are planned go on; when they are over, what is left waits for a person."""
    held = gate.storm_gate(storm)
    if planned is None:
        planned = Outlook("storm", reason=held.detail, n_waiting=storm.hurt - storm.limit)
    return replace(planned, gates=tuple(gate.Verdict(held.effect, (held,)).as_json()))


def _outlook(told: _Told) -> Outlook:
    kind = _ORDER[told.rank][1]
    is_next = kind in {"retrying", "approval", "parked"}
    return Outlook(
        kind=kind,
        attempt=min(told.attempts_made + is_next, told.attempts_max),
        attempts_made=told.attempts_made,
        attempts_max=told.attempts_max,
        at=told.run_at if kind == "retrying" else None,
        reason=told.waiting_reason,
        n_waiting=told.n_alike,
    )
