"""The only group commit: events of many requests, keys and tenants in one statement of a connection of its own."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from django.conf import settings
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from awfdrs_site.lib import metrics
from awfdrs_site.lib.failpoints import failpoint
from awfdrs_site.lib.problems import Problem
from events import answering, ingest
from events.ingest import Submission
from events.validation import IncomingEvent
from tenants import auth
from tenants.access import Caller

_LOOK = """
select awf_now() as now, prefix, awf_key_state(prefix) as state, found.*
from unnest(%s::text[]) prefix left join lateral awf_api_key(prefix) found on true
"""
# One statement, and so one transaction and one answer. The keys are asked for in it: a revoked one lets nothing in
# from its next request on. What names no workflow of its tenant is left to Django's door, which may register one.
_TAKE_IN = "select * from awf_take_in(%s, %s, %s)"

PLAIN_CORRELATION = 100  # a longer one could make an answer that is packed; so in awf_take_in
KEYS_MOST = 2000
TRIES = 2  # with what was assumed, and with what is so


@dataclass(frozen=True, slots=True)
class Arrival:
    """One event that a known key sent: what it says, and whom Django took the sender for."""

    body: dict[str, object]
    prefix: str
    secret: str
    caller: Caller
    correlation_id: str
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Landing:
    """It is committed: by us just now, or before."""

    status: Literal["accepted", "replayed"]
    event_id: UUID
    correlation_id: str


@dataclass(frozen=True, slots=True)
class _Row:
    event: IncomingEvent
    fields: dict[str, Any]


@dataclass(slots=True)
class Seen:
    """What the database said last, of its clock and of the keys; where it says otherwise, it is asked again."""

    keys: dict[tuple[str, str], tuple[Caller, str]] = field(default_factory=dict)
    at: datetime | None = None
    since: float = 0.0

    def moment(self) -> datetime:
        """The database's time, as far as our clock can tell how much has passed."""
        assert self.at is not None
        return self.at + timedelta(seconds=time.monotonic() - self.since)

    def tell(self, at: datetime) -> None:
        self.at, self.since = at, time.monotonic()

    def state(self, arrival: Arrival) -> str | None:
        """Of its key, when that lets this very caller in."""
        caller, state = self.keys.get((arrival.prefix, arrival.secret), (None, None))
        return state if caller is arrival.caller or caller == arrival.caller else None

    def forget(self, prefix: str) -> None:
        for key in [key for key in self.keys if key[0] == prefix]:
            del self.keys[key]


async def connect() -> AsyncConnection[Any]:
    """Autocommit: every statement is a transaction."""
    return await AsyncConnection.connect(
        settings.DATABASE_URL, autocommit=True, prepare_threshold=None, connect_timeout=5
    )


async def store(
    connection: AsyncConnection[Any], arrivals: Sequence[Arrival], seen: Seen
) -> list[Landing | None]:
    """What became of each, committed; None: not ours to judge, and nothing of it is stored or counted."""
    for _ in range(TRIES):
        await _look(connection, arrivals, seen)
        rows = [_row(one, now=seen.moment()) if seen.state(one) else None for one in arrivals]
        landings = await _take_in(connection, arrivals, rows, seen) if any(rows) else {}
        if landings is not None:
            break
    known = landings or {}
    found = [known.get(row.fields["id"]) if row else None for row in rows]
    fresh = [one.event_id for one in found if one and one.status == "accepted"]
    if fresh:
        ingest.tell_stored(fresh)
    _measure(arrivals, rows, found)
    return found


async def _look(connection: AsyncConnection[Any], arrivals: Sequence[Arrival], seen: Seen) -> None:
    """The database's time, and who may send: with the very rights that Django saw, or not here."""
    senders = {(one.prefix, one.secret): one.caller for one in arrivals if not seen.state(one)}
    if seen.at is not None and not senders:
        return
    cursor = connection.cursor(row_factory=dict_row)
    with metrics.timed(metrics.DATABASE_SECONDS):
        await cursor.execute(_LOOK, [sorted({prefix for prefix, _ in senders} or {""})])
    rows = {row["prefix"]: row for row in await cursor.fetchall()}
    seen.tell(next(iter(rows.values()))["now"])
    if len(seen.keys) >= KEYS_MOST:
        seen.keys.clear()
    for (prefix, secret), caller in senders.items():
        row = rows[prefix]
        if _is_still(caller, row if row["id"] else None, secret):
            seen.keys[prefix, secret] = caller, row["state"]


def _is_still(caller: Caller, row: Mapping[str, Any] | None, secret: str) -> bool:
    try:
        return auth.caller_of_row(row, secret) == caller
    except Problem:
        return False


def _row(arrival: Arrival, *, now: datetime) -> _Row | None:
    caller = arrival.caller
    try:
        event = answering.judged(arrival.body, tenant_id=caller.tenant.id, now=now)
    except Problem:
        return None
    if event.warnings:
        return None
    submission = Submission(event, arrival.correlation_id)
    fields = ingest.row_of(caller.tenant.id, submission, now=now)
    fields["api_key_id"] = caller.key_id
    return _Row(event, fields)


async def _take_in(
    connection: AsyncConnection[Any],
    arrivals: Sequence[Arrival],
    rows: Sequence[_Row | None],
    seen: Seen,
) -> dict[UUID, Landing] | None:
    """By the id that each was given; None: the clock or a key was not as assumed, and nothing is stored."""
    states = {one.prefix: seen.state(one) for one, row in zip(arrivals, rows, strict=True) if row}
    senders = [{"prefix": prefix, "state": state} for prefix, state in states.items()]
    given = [row.fields for row in rows if row]
    failpoint("ingest.before_commit")
    cursor = connection.cursor()
    with metrics.timed(metrics.DATABASE_SECONDS):
        await cursor.execute(
            _TAKE_IN, [seen.moment(), ingest.as_json(senders), ingest.as_json(given)]
        )
    failpoint("ingest.after_commit")
    correlations = {fields["id"]: fields["correlation_id"] for fields in given}
    found = await cursor.fetchall()
    if found:
        seen.tell(found[0][0])
    landings = {}
    for _, stale, own_id, is_new, event_id, correlation_id in found:
        if own_id is None:
            seen.forget(stale)
            continue
        status: Literal["accepted", "replayed"] = "accepted" if is_new else "replayed"
        landings[own_id] = Landing(status, event_id, correlation_id or correlations[own_id])
    return None if found and not landings else landings


def _measure(
    arrivals: Sequence[Arrival], rows: Sequence[_Row | None], found: Sequence[Landing | None]
) -> None:
    stored, again = Counter[tuple[str, str, str]](), Counter[str]()
    for one, row, landing in zip(arrivals, rows, found, strict=True):
        if row is None or landing is None:
            continue
        tenant_id = str(one.caller.tenant.id)
        if landing.status == "replayed":
            again[tenant_id] += 1
        else:
            workflow = str(row.event.workflow_id or row.event.workflow_slug)
            stored[tenant_id, workflow, row.event.event_type] += 1
    for (tenant_id, workflow, kind), n in stored.items():
        labels = metrics.WORKFLOWS.known(workflow), metrics.EVENT_TYPES.known(kind)
        metrics.EVENTS_INGESTED.labels(tenant_id, *labels).inc(n)
    for tenant_id, n in again.items():
        metrics.DUPLICATES.labels(tenant_id).inc(n)
