"""The only way an event is stored: one `store()` for every door, one statement for any number of events."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from django.db import IntegrityError, connection, transaction

from awfdrs_site.lib import tracing
from awfdrs_site.lib.failpoints import failpoint
from awfdrs_site.lib.ids import uuid7
from events import partitions
from events.signals import events_stored
from events.validation import IncomingEvent, differing_fields, vendor_name
from tenants import scoping
from tenants.models import Tenant, Workflow

WORKFLOW_LIMIT = 10_000  # self-registered slugs per tenant

_encode = msgspec.json.Encoder().encode

_STORE = "select stored_id, is_new from awf_store_events(%s)"
# A new statement, hence a new snapshot: it sees the rows of whoever won the race (G2).
_REPLAYED = """
select key_hash, event_id, field_digests, correlation_id, warnings
from events_eventkey where tenant_id = %s and key_hash = any(%s)
"""


@dataclass(frozen=True)
class Submission:
    """One event as a door hands it over."""

    event: IncomingEvent
    correlation_id: str


@dataclass(frozen=True)
class Verdict:
    """What became of one submission. `differing` is set when its key was used for other content."""

    status: Literal["accepted", "replayed", "rejected"]
    event_id: UUID | None
    correlation_id: str = ""
    warnings: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    error: str = ""

    def body(self) -> dict[str, Any]:
        """The answer of API.md; a replay gives the same bytes as the first time."""
        answer: dict[str, Any] = {
            "event_id": str(self.event_id),
            "status": "accepted",
            "correlation_id": self.correlation_id,
        }
        return {**answer, "warnings": list(self.warnings)} if self.warnings else answer


# What a door writes in the transaction of its events: it may be called again, and undoes all by raising.
Beside = Callable[[list[Verdict], datetime], None]


def _nothing(_verdicts: list[Verdict], _now: datetime) -> None:
    pass


def store(
    tenant_id: UUID,
    submissions: Sequence[Submission],
    *,
    dry_run: bool = False,
    beside: Beside = _nothing,
    durable: bool = True,
) -> list[Verdict]:
    """Store what is new and answer in order; committed when it returns (dry run: rolled back).

    `durable=False` is for verbs of a page: part of the tenant's block that is open, and committed with it; who
    opened that block makes a missing day and tries all of it again (`events.quarantine_views`).

    Idempotent per (tenant, key), within the sequence too. Raises nothing for one bad item: its verdict says
    `rejected` with `error` "unknown_workflow". A missing day partition is made and the store tried again.
    """
    try:
        return _store(tenant_id, submissions, dry_run=dry_run, beside=beside, durable=durable)
    except IntegrityError as error:
        if not durable or not partitions.is_missed(error):
            raise
    partitions.make_missed()
    return _store(tenant_id, submissions, dry_run=dry_run, beside=beside, durable=True)


def _store(
    tenant_id: UUID,
    submissions: Sequence[Submission],
    *,
    dry_run: bool,
    beside: Beside,
    durable: bool,
) -> list[Verdict]:
    with scoping.bound(tenant_id, durable=durable) as now:
        rows = [row_of(tenant_id, submission, now=now) for submission in submissions]
        for row in rows:
            row["received_at"] = now
        found = _insert(rows)
        unknown = [row for row in rows if row["id"] not in found]
        if unknown and _register(tenant_id, unknown, now=now):
            found |= _insert(unknown)
        created = {own for own, is_new in found.items() if is_new}
        again = [row for row in rows if row["id"] in found and row["id"] not in created]
        keys = _keys(tenant_id, again)
        verdicts = [
            _verdict(row if row["id"] in found else None, submission, created, keys)
            for row, submission in zip(rows, submissions, strict=True)
        ]
        beside(verdicts, now)
        failpoint("ingest.before_commit")
        if dry_run:
            transaction.set_rollback(True)
        elif created:
            transaction.on_commit(lambda: tell_stored(created))
    failpoint("ingest.after_commit")
    if tracing.is_on() and not dry_run:
        for verdict in verdicts:
            trace(tenant_id, verdict.status, verdict.event_id, verdict.correlation_id)
    return verdicts


def trace(tenant_id: UUID, status: str, event_id: UUID | None, correlation_id: str) -> None:
    """Every event that was new begins, or goes on with, a trace."""
    if status == "accepted" and event_id is not None:
        tracing.note(
            "event",
            correlation_id=correlation_id,
            about=event_id,
            tenant=str(tenant_id),
            event=str(event_id),
        )


def tell_stored(event_ids: Iterable[UUID]) -> None:
    """Nudge whoever digests, once these are committed."""
    events_stored.send(None, event_ids=list(event_ids))


def _insert(rows: Sequence[Mapping[str, Any]]) -> dict[UUID, bool]:
    """By the id that a row was given, whether it is stored by us. What names no workflow is not there."""
    if not rows:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_STORE, [as_json(rows)])
        return dict(cursor.fetchall())


def as_json(rows: Sequence[Mapping[str, Any]]) -> str:
    return _encode(rows).decode()


def row_of(tenant_id: UUID, submission: Submission, *, now: datetime) -> dict[str, Any]:
    """One event as the statements that store take it; they find its workflow, and say when it came."""
    event = submission.event
    return {
        "id": uuid7(now),
        "tenant_id": tenant_id,
        "workflow_id": event.workflow_id,
        "workflow_slug": event.workflow_slug,
        "event_type": event.event_type,
        "payload": event.payload,
        "occurred_at": event.occurred_at,
        "run_ref": event.run_id or "",
        "schema_version": event.schema_version,
        "extra": event.extra,
        "vendor_name": vendor_name(event.payload),
        "correlation_id": submission.correlation_id,
        "key_hash": event.key_hash.hex(),
        "field_digests": event.field_digests,
        "warnings": event.warnings,
    }


def _keys(tenant_id: UUID, rows: list[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    if not rows:
        return {}
    hashes = [bytes.fromhex(row["key_hash"]) for row in rows]
    with connection.cursor() as cursor:
        cursor.execute(_REPLAYED, [tenant_id, hashes])
        return {bytes(row[0]).hex(): row[1:] for row in cursor.fetchall()}


def _verdict(
    row: Mapping[str, Any] | None,
    submission: Submission,
    created: set[UUID],
    keys: Mapping[str, tuple[Any, ...]],
) -> Verdict:
    if row is None:
        return Verdict("rejected", None, error="unknown_workflow")
    if row["id"] in created:
        event = submission.event
        return Verdict("accepted", row["id"], submission.correlation_id, event.warnings)
    event_id, digests, correlation_id, warnings = keys[row["key_hash"]]
    digests = json.loads(digests) if isinstance(digests, str) else digests
    warnings = json.loads(warnings) if isinstance(warnings, str) else warnings
    differing = differing_fields(digests, submission.event.field_digests)
    if differing:
        return Verdict("rejected", None, differing=differing, error="idempotency_key_reused")
    return Verdict("replayed", event_id, correlation_id, tuple(warnings))


def _register(tenant_id: UUID, rows: Sequence[Mapping[str, Any]], *, now: datetime) -> bool:
    """Whether the slugs of these rows, which nobody knew, are known now: a tenant may refuse them."""
    slugs = {row["workflow_slug"] for row in rows if row["workflow_slug"]}
    tenant = Tenant.objects.get(pk=tenant_id)
    n_known = Workflow.objects.for_tenant(tenant_id).count()
    if not slugs or not tenant.registers_workflows or n_known + len(slugs) > WORKFLOW_LIMIT:
        return False
    Workflow.objects.bulk_create(
        [Workflow(tenant_id=tenant_id, slug=slug, created_at=now) for slug in sorted(slugs)],
        ignore_conflicts=True,
    )
    return True
