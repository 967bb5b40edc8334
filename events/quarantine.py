"""The only place that keeps refused bodies, bounded, and that stores one of them once it is cured."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from awfdrs_site.lib import strict_json
from awfdrs_site.lib.ids import uuid7
from awfdrs_site.lib.problems import Problem
from awfdrs_site.lib.strict_json import MalformedJson, TooLarge
from events import answering, ingest
from events.ingest import Submission, Verdict
from events.models import QuarantinedEvent
from tenants import journal, scoping
from tenants.journal import Actor

KEPT_CODES = frozenset({"malformed_json", "validation_failed"})
ROWS_MOST, BYTES_MOST = 10_000, 64 * 1024 * 1024  # per tenant; the oldest fall out
BODY_BYTES = 1024 * 1024  # more of a whole batch that is none is cut
TRIM_EVERY = 32  # kept bodies between two looks at the bound
REASON_CHARACTERS, DETAIL_CHARACTERS = 200, 1000

_PLACE = re.compile(r" at (?:line \d+, column \d+|byte \d+)")
_TRIM = """
delete from events_quarantinedevent where tenant_id = %(tenant)s and id in (
  select id from events_quarantinedevent where tenant_id = %(tenant)s and id <= (
    select id from (
      select id, row_number() over newest n, sum(n_bytes) over newest n_bytes
      from events_quarantinedevent where tenant_id = %(tenant)s
      window newest as (order by id desc)
    ) counted where n > %(rows)s or n_bytes > %(bytes)s order by id desc limit 1)
  order by id for update skip locked)
"""
# Once for all who cure it at the same time: the loser finds it done, and what he stored is undone.
_DONE = """
update events_quarantinedevent set event_id = %s, answer = %s::jsonb, replayed_at = %s, replayed_by = %s
where tenant_id = %s and id = %s and event_id is null
"""


class Replayed(Exception):
    """Somebody else's replay came first."""


@dataclass(frozen=True)
class Refusal:
    """A refused body and what was answered."""

    body: bytes
    problem: Problem


def keep(
    tenant_id: UUID,
    key_id: UUID | None,
    refusals: Iterable[Refusal],
    *,
    correlation_id: str,
    now: datetime,
) -> int:
    """Keep those that are worth it in the tenant's open block, and tell each its id; returns how many."""
    rows = [
        _row(tenant_id, key_id, one, correlation_id=correlation_id, now=now)
        for one in refusals
        if one.problem.code in KEPT_CODES
    ]
    QuarantinedEvent.objects.bulk_create(rows)
    if any(row.pk.int % TRIM_EVERY == 0 for row in rows):
        trim(tenant_id)
    return len(rows)


def trim(tenant_id: UUID) -> None:
    """Let the oldest go beyond the bound."""
    with connection.cursor() as cursor:
        cursor.execute(_TRIM, {"tenant": tenant_id, "rows": ROWS_MOST, "bytes": BYTES_MOST})


def replay(
    kept: QuarantinedEvent,
    patch: dict[str, object],
    *,
    by: Actor,
    now: datetime,
    dry_run: bool = False,
    durable: bool = True,
) -> Verdict | Problem:
    """Store what was refused, with the fields of `patch`; null takes a field away. Twice creates once.

    What cannot be read is replaced by the patch. `durable` as of `ingest.store`.
    """
    if kept.event_id is not None:
        return done(kept)
    try:
        event = answering.judged(_cured(bytes(kept.body), patch), tenant_id=kept.tenant_id, now=now)
    except Problem as problem:
        return problem

    def beside(verdicts: list[Verdict], now: datetime) -> None:
        if verdicts[0].event_id is not None:
            _settle(kept, verdicts[0], by=by, now=now)

    submission = Submission(event, kept.correlation_id)
    try:
        (verdict,) = ingest.store(
            kept.tenant_id, [submission], dry_run=dry_run, beside=beside, durable=durable
        )
    except Replayed:
        return done(_again(kept))
    return answering.outcome(event, verdict)


def done(kept: QuarantinedEvent) -> Verdict:
    """The verdict of the replay that was accepted, for whoever asks again."""
    answer: dict[str, Any] = kept.answer or {}
    warnings = tuple(answer.get("warnings", ()))
    return Verdict("replayed", kept.event_id, answer.get("correlation_id", ""), warnings)


def reason_of(problem: Problem) -> str:
    """What refused bodies are grouped by: which fields are wrong and how, never their values."""
    named = [
        f"{error.pointer.removeprefix('/') or 'body'}: {error.code}" for error in problem.errors
    ]
    if problem.code == "malformed_json":
        named = [_PLACE.sub("", problem.detail)]
    return ", ".join(dict.fromkeys(named))[:REASON_CHARACTERS] or problem.title


def _row(
    tenant_id: UUID, key_id: UUID | None, one: Refusal, *, correlation_id: str, now: datetime
) -> QuarantinedEvent:
    problem = one.problem
    row = QuarantinedEvent(
        id=uuid7(now),
        tenant_id=tenant_id,
        api_key_id=key_id,
        received_at=now,
        code=problem.code,
        reason=reason_of(problem),
        detail=problem.detail[:DETAIL_CHARACTERS],
        errors=[asdict(error) for error in problem.errors],
        body=one.body[:BODY_BYTES],
        n_bytes=len(one.body),
        correlation_id=correlation_id,
    )
    problem.extra["quarantine_id"] = str(row.pk)
    return row


def _cured(body: bytes, patch: dict[str, object]) -> dict[str, object]:
    try:
        found = strict_json.loads(body, max_bytes=BODY_BYTES)
    except (MalformedJson, TooLarge):
        found = None
    fields: dict[str, object] = found if isinstance(found, dict) else {}
    return {
        name: value
        for name, value in (fields | patch).items()
        if name not in patch or value is not None
    }


def _settle(kept: QuarantinedEvent, verdict: Verdict, *, by: Actor, now: datetime) -> None:
    answer = strict_json.canonical(verdict.body()).decode()
    with connection.cursor() as cursor:
        row = [verdict.event_id, answer, now, by.label[:200], kept.tenant_id, kept.pk]
        cursor.execute(_DONE, row)
        if not cursor.rowcount:
            raise Replayed
    journal.record(kept, "replayed", by=by, at=now, event_id=str(verdict.event_id))


def _again(kept: QuarantinedEvent) -> QuarantinedEvent:
    with scoping.bound(kept.tenant_id):
        found: QuarantinedEvent = QuarantinedEvent.objects.for_tenant(kept.tenant_id).get(
            pk=kept.pk
        )
        return found
