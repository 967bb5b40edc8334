"""The only group commit: events of many requests, keys and tenants in one transaction of a connection of its own."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from django.conf import settings
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from awfdrs_site.lib import metrics
from awfdrs_site.lib.failpoints import failpoint
from awfdrs_site.lib.ids import uuid7
from awfdrs_site.lib.problems import Problem
from events import answering, conservation, ingest
from events.conservation import Tally
from events.ingest import Submission
from events.validation import IncomingEvent, differing_fields
from tenants import auth
from tenants.access import Caller
from tenants.roles import PIPELINE

# The keys are asked for in the transaction that stores, so a revoked one lets nothing in from its next request on.
_ENTER = f"""
select set_config('role', '{PIPELINE}', true), set_config('awf.tenant', '', true), awf_now() as now, prefix, found.*
from unnest(%s::text[]) prefix left join lateral awf_api_key(prefix) found on true
"""  # noqa: S608  # of constants
# What names no workflow of its tenant is left to that door, which may register one.
_KNOWN = """, known as materialized (
  select given.*, coalesce(named.id, numbered.id) as workflow
  from given
  left join tenants_workflow named on named.tenant_id = given.tenant_id and named.slug = given.workflow_slug
  left join tenants_workflow numbered on numbered.tenant_id = given.tenant_id and numbered.id = given.workflow_id
)"""
_STORE = f"""
{ingest.storing(rows="known", workflow="workflow", also=_KNOWN)}
select known.id::text, owned.event_id is not null from known left join owned on owned.event_id = known.id
where workflow is not null
"""  # noqa: S608  # of constants
_REPLAYED = """
select tenant_id, encode(key_hash, 'hex'), event_id::text, field_digests, correlation_id, warnings
from events_eventkey where (tenant_id, key_hash) in (select * from unnest(%s::uuid[], %s::bytea[]))
"""

PLAIN_CORRELATION = 100  # a longer one could make an answer that is packed

_encode = msgspec.json.Encoder().encode


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
    event_id: str
    correlation_id: str


@dataclass(frozen=True, slots=True)
class _Row:
    event: IncomingEvent
    fields: dict[str, Any]


async def connect() -> AsyncConnection[Any]:
    """Autocommit, because every group says itself where it begins and ends."""
    return await AsyncConnection.connect(
        settings.DATABASE_URL, autocommit=True, prepare_threshold=None, connect_timeout=5
    )


async def store(
    connection: AsyncConnection[Any], arrivals: Sequence[Arrival]
) -> list[Landing | None]:
    """What became of each, committed; None: not ours to judge, and nothing of it is stored or counted."""
    with metrics.timed(metrics.DATABASE_SECONDS):
        now, callers = await _enter(connection, arrivals)
    rows = [_row(one, callers.get((one.prefix, one.secret)), now=now) for one in arrivals]
    fresh, landings = set[str](), dict[str, Landing]()
    given = [row.fields for row in rows if row]
    if given:
        cursor = connection.cursor()
        with metrics.timed(metrics.DATABASE_SECONDS):
            await cursor.execute(_STORE, [_json(given)])
        known = dict(await cursor.fetchall())
        fresh = {event_id for event_id, is_new in known.items() if is_new}
        landings = await _landings(connection, [row for row in rows if row], known)
    found = [landings.get(row.fields["id"]) if row else None for row in rows]
    failpoint("ingest.before_commit")
    await _commit(connection, arrivals, found, now=now)
    failpoint("ingest.after_commit")
    if fresh:
        ingest.tell_stored(map(UUID, fresh))
    _measure(arrivals, rows, found)
    return found


async def _enter(
    connection: AsyncConnection[Any], arrivals: Iterable[Arrival]
) -> tuple[datetime, dict[tuple[str, str], Caller]]:
    """The database's time, and who may send: with the very rights that Django saw, or not here."""
    senders = {(one.prefix, one.secret): one.caller for one in arrivals}
    cursor = connection.cursor(row_factory=dict_row)
    async with connection.pipeline():
        await connection.execute("begin")
        await cursor.execute(_ENTER, [sorted({prefix for prefix, _ in senders})])
    rows = {row["prefix"]: row for row in await cursor.fetchall()}
    now: datetime = next(iter(rows.values()))["now"]
    callers = {}
    for (prefix, secret), caller in senders.items():
        row = rows[prefix]
        if _is_still(caller, row if row["id"] else None, secret):
            callers[prefix, secret] = caller
    return now, callers


def _is_still(caller: Caller, row: Mapping[str, Any] | None, secret: str) -> bool:
    try:
        return auth.caller_of_row(row, secret) == caller
    except Problem:
        return False


def _row(arrival: Arrival, caller: Caller | None, *, now: datetime) -> _Row | None:
    if caller is None:
        return None
    try:
        event = answering.judged(arrival.body, tenant_id=caller.tenant.id, now=now)
    except Problem:
        return None
    if event.warnings:
        return None
    submission = Submission(event, arrival.correlation_id)
    fields = ingest.row_of(caller.tenant.id, submission, event.workflow_id, now=now)
    return _Row(event, fields | {"workflow_slug": event.workflow_slug})


async def _landings(
    connection: AsyncConnection[Any], rows: Sequence[_Row], known: Mapping[str, bool]
) -> dict[str, Landing]:
    landings, again = {}, []
    for row in rows:
        event_id = row.fields["id"]
        if known.get(event_id):
            landings[event_id] = Landing("accepted", event_id, row.fields["correlation_id"])
        elif event_id in known:
            again.append(row)
    return landings | await _replays(connection, again) if again else landings


async def _replays(connection: AsyncConnection[Any], rows: Sequence[_Row]) -> dict[str, Landing]:
    """A new statement: it sees what whoever was faster has committed, and what this group has just stored."""
    cursor = connection.cursor()
    hashes = [row.event.key_hash for row in rows]
    with metrics.timed(metrics.DATABASE_SECONDS):
        await cursor.execute(_REPLAYED, [[row.fields["tenant_id"] for row in rows], hashes])
    keys = {(str(row[0]), row[1]): row[2:] for row in await cursor.fetchall()}
    landings = {}
    for row in rows:
        kept = keys.get((row.fields["tenant_id"], row.fields["key_hash"]))
        if kept is None:
            continue
        event_id, digests, correlation_id, warnings = kept
        is_plain = not warnings and len(correlation_id) <= PLAIN_CORRELATION
        if is_plain and not differing_fields(digests, row.event.field_digests):
            landings[row.fields["id"]] = Landing("replayed", event_id, correlation_id)
    return landings


async def _commit(
    connection: AsyncConnection[Any],
    arrivals: Sequence[Arrival],
    found: Sequence[Landing | None],
    *,
    now: datetime,
) -> None:
    counted = Counter(
        (one.caller.tenant.id, one.caller.key_id, landing.status)
        for one, landing in zip(arrivals, found, strict=True)
        if landing
    )
    async with connection.pipeline():
        for tenant_id, key_id in sorted({key[:2] for key in counted}):  # as every group does
            accepted, replayed = (counted[tenant_id, key_id, s] for s in ("accepted", "replayed"))
            tally = Tally(received=accepted + replayed, accepted=accepted, replayed=replayed)
            row = [uuid7(now), tenant_id, key_id, now, *astuple(tally)]
            await connection.execute(conservation.COUNT, row)
        await connection.execute("commit")


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


def _json(rows: list[dict[str, Any]]) -> str:
    return _encode(rows).decode()
