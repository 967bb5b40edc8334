"""The only place that locks incidents and stores what a verb changed of them: one row, or many together."""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection

from incidents.models import AffectedRun, Incident, Undo
from tenants import journal
from tenants.journal import Actor, Line

# What people and the machine decide about an incident, with its type in SQL; the rest is counted.
DECIDED = {
    "status": "text",
    "acknowledged_at": "timestamptz",
    "acknowledged_by": "text",
    "acknowledged_until": "timestamptz",
    "assignee_id": "int",
    "snoozed_until": "timestamptz",
    "snooze": "jsonb",
    "escalated_at": "timestamptz",
    "escalated_reason": "text",
    "resolved_at": "timestamptz",
    "resolved_reason": "text",
    "decided_at": "timestamptz",
    "planned_at": "timestamptz",
    "opened_at": "timestamptz",
}
_STORED = {
    **DECIDED,
    "regression_count": "int",
    "unrecovered_runs": "int",
    "merged_into_id": "uuid",
    "version": "bigint",
}
_STORE_MANY = f"""
update incidents_incident incident set {", ".join(f"{name} = given.{name}" for name in _STORED)}
from json_to_recordset(%s::json) as given (id uuid, {", ".join(map(" ".join, _STORED.items()))})
where incident.tenant_id = %s and incident.id = given.id
"""  # noqa: S608  # of constants


@dataclass(frozen=True)
class _Together:
    """Rows that are locked already, and what verbs have said of them so far."""

    rows: Mapping[UUID, Incident]
    changed: dict[UUID, Incident] = field(default_factory=dict)
    lines: list[tuple[Actor, datetime, Line]] = field(default_factory=list)


_together: ContextVar[_Together | None] = ContextVar("awf_incidents_together", default=None)


@contextmanager
def together(tenant_id: UUID, ids: Collection[UUID]) -> Iterator[Mapping[UUID, Incident]]:
    """Lock these in id order; what verbs change of them inside is stored at the end, in two statements."""
    mine = Incident.objects.for_tenant(tenant_id).filter(pk__in=ids).select_related("assignee")
    held = _Together({row.pk: row for row in mine.select_for_update(of=("self",)).order_by("id")})
    token = _together.set(held)
    try:
        yield held.rows
    finally:
        _together.reset(token)
    _store_many(tenant_id, held)


def locked(incident: Incident, *, with_sharers: bool = False) -> Incident:
    """The row as it is now, held until the transaction ends.

    `with_sharers`: with every incident that hurt the same runs, in id order, because a waiver frees
    those too, and two that took them in another order would wait for each other.
    """
    held = _together.get()
    if held is not None and incident.pk in held.rows:
        return held.rows[incident.pk]
    mine = Incident.objects.for_tenant(incident.tenant_id)
    if with_sharers:
        ledger = AffectedRun.objects.for_tenant(incident.tenant_id)
        runs = ledger.filter(incident=incident).values("run_id")
        sharers = ledger.filter(run_id__in=runs).values_list("incident_id", flat=True)
        shared = mine.filter(pk__in={incident.pk, *sharers.distinct()})
        list(shared.select_for_update().order_by("id").values_list("id"))
    found: Incident = mine.select_for_update().get(pk=incident.pk)
    return found


def save(incident: Incident, verb: str, /, *, by: Actor, now: datetime, **detail: Any) -> Incident:
    """Store a locked row that a verb has changed, and the line that says so."""
    incident.version += 1
    said = {name: value for name, value in detail.items() if value != ""}
    held = _together.get()
    if held is not None and incident.pk in held.rows:
        held.changed[incident.pk] = incident
        held.lines.append((by, now, Line(incident, verb, said)))
        return incident
    incident.save(update_fields=[name.removesuffix("_id") for name in _STORED])
    journal.record(incident, verb, by=by, at=now, **said)
    return incident


def snapshot(incident: Incident) -> dict[str, Any]:
    """What is decided about it, as JSON keeps it."""
    said = {name: getattr(incident, name) for name in DECIDED}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in said.items()
    }


def note_step(
    incident: Incident,
    verb: str,
    *,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    by: Actor,
    now: datetime,
) -> Undo:
    """The step of a person that `undo` can take back."""
    step: Undo = Undo.objects.create(
        tenant_id=incident.tenant_id,
        incident=incident,
        verb=verb,
        before=before,
        after=after,
        actor_kind=by.kind,
        actor_id=by.id,
        at=now,
    )
    return step


def put_back(incident: Incident, said: Mapping[str, Any]) -> None:
    """Set fields of a locked row to what a snapshot says of them."""
    for name, value in said.items():
        is_instant = value is not None and DECIDED[name] == "timestamptz"
        setattr(incident, name, datetime.fromisoformat(value) if is_instant else value)


def _store_many(tenant_id: UUID, held: _Together) -> None:
    rows = [
        {"id": pk} | {name: getattr(row, name) for name in _STORED}
        for pk, row in held.changed.items()
    ]
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(_STORE_MANY, [json.dumps(rows, cls=_Exact), tenant_id])
    said: dict[tuple[Actor, datetime], list[Line]] = {}
    for by, now, line in held.lines:
        said.setdefault((by, now), []).append(line)
    for (by, now), lines in said.items():
        journal.record_many(lines, by=by, at=now)


class _Exact(DjangoJSONEncoder):
    """Django's own cuts instants to milliseconds."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if isinstance(o, datetime) else super().default(o)
