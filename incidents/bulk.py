"""The only place that asks for something to be done to many incidents, and says how far it is.

Which ones is settled when it is asked for: each becomes an item of the job, whatever the query would find later.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Count

from awfdrs_site.lib import correlation
from incidents import query_filters, undo
from incidents.lifecycle import ChangedSince
from incidents.models import BulkItem, BulkJob, Incident
from incidents.query_filters import Asker
from incidents.querysets import IncidentQuerySet
from incidents.states import BulkState, ItemState
from tenants import journal
from tenants.journal import Actor

MOST = 50_000  # incidents of one job
IDS_MOST = 1000
FAILURES_SHOWN = 100

_CHOOSE = """
insert into incidents_bulkitem (id, tenant_id, job_id, incident_id, state, reason)
select gen_random_uuid(), %s, %s, chosen.id, 'waiting', ''
from (select distinct id from ({query}) as found (id) limit %s) as chosen
"""


class TooMany(Exception):
    """More than one job may take (-> 422)."""


class UnknownIncident(Exception):
    """The tenant has no such incident (-> 422)."""

    def __init__(self, ids: Collection[UUID]) -> None:
        self.unknown = ids
        super().__init__("There is no such incident.")


@dataclass(frozen=True)
class Progress:
    """How many incidents of a job are where."""

    total: int
    waiting: int
    done: int
    unchanged: int
    failed: int
    undone: int
    kept: int

    @property
    def settled(self) -> int:
        return self.total - self.waiting

    @property
    def percent(self) -> int:
        return 100 * self.settled // self.total if self.total else 100


def matching(asker: Asker, query: str) -> IncidentQuerySet:
    """What the query finds of the tenant. Raises QueryError."""
    mine: IncidentQuerySet = Incident.objects.for_tenant(asker.tenant_id)
    return query_filters.narrowed(mine, query, asker=asker)


def chosen(tenant_id: UUID, ids: Collection[UUID]) -> IncidentQuerySet:
    """These. Raises UnknownIncident."""
    mine: IncidentQuerySet = Incident.objects.for_tenant(tenant_id).filter(pk__in=ids)
    known = set(mine.values_list("pk", flat=True))
    unknown = [pk for pk in ids if pk not in known]
    if unknown:
        raise UnknownIncident(unknown)
    return mine


def ask(
    tenant_id: UUID,
    verb: str,
    rows: IncidentQuerySet,
    *,
    parameters: Mapping[str, Any],
    query: str = "",
    by: Actor,
    now: datetime,
) -> BulkJob:
    """Have `verb` done to each of the rows, as they are chosen now. Raises TooMany."""
    job: BulkJob = BulkJob.objects.create(
        tenant_id=tenant_id,
        verb=verb,
        parameters=dict(parameters),
        query=query,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_label=by.label,
        correlation_id=correlation.current(),
        created_at=now,
    )
    n_chosen = _choose(job, rows)
    if n_chosen > MOST:
        raise TooMany(f"At most {MOST:,} incidents at once: narrow the query.")
    said = {"action": verb, "incidents": n_chosen}
    journal.record(job, "bulk_asked", by=by, at=now, query=query, **said)
    return job


def ask_back(job: BulkJob, *, by: Actor, now: datetime) -> BulkJob:
    """Have a finished job taken back. Idempotent. Raises ChangedSince when it is too late, or not over yet."""
    job = BulkJob.objects.for_tenant(job.tenant_id).select_for_update().get(pk=job.pk)
    if job.state in (BulkState.UNDOING, BulkState.UNDONE):
        return job
    if job.finished_at is None:
        raise ChangedSince("It is still under way: wait until it has ended.")
    if now - job.finished_at > undo.WINDOW:
        raise ChangedSince("It ended more than 10 minutes ago: change it by hand.")
    job.state, job.finished_at = BulkState.UNDOING, None
    job.undone_by = {"kind": by.kind, "id": by.id, "label": by.label}
    job.save(update_fields=["state", "finished_at", "undone_by"])
    journal.record(job, "bulk_undo_asked", by=by, at=now, action=job.verb)
    return job


def progress(job: BulkJob) -> Progress:
    items = BulkItem.objects.for_tenant(job.tenant_id).filter(job=job)
    counted = items.order_by().values_list("state").annotate(n=Count("pk"))
    n = dict.fromkeys(ItemState.values, 0) | {str(state): found for state, found in counted}
    return Progress(total=sum(n.values()), **n)


def failures(job: BulkJob, *, most: int = FAILURES_SHOWN) -> list[BulkItem]:
    """What was refused, and what was not taken back, each with why."""
    items = BulkItem.objects.for_tenant(job.tenant_id).filter(job=job)
    wrong = items.filter(state__in=(ItemState.FAILED, ItemState.KEPT))
    return list(wrong.select_related("incident").order_by("incident_id")[:most])


def _choose(job: BulkJob, rows: IncidentQuerySet) -> int:
    try:
        query, said = rows.order_by().values("pk").query.sql_with_params()
    except EmptyResultSet:
        return 0
    statement = _CHOOSE.replace("{query}", query)
    with connection.cursor() as cursor:
        cursor.execute(statement, [job.tenant_id, job.pk, *said, MOST + 1])
        return int(cursor.rowcount)
