"""The only sealer: chains committed journal lines, so that writers never wait for each other (DESIGN.md rule 12)."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db import connection

from tenants import chain, scoping
from tenants.chain import START, Head

logger = logging.getLogger(__name__)

BATCH = 2000
TOLD_SECONDS = 60  # heads that moved within it go to the log
_ONE_SEALER = "select pg_try_advisory_xact_lock(%s)"
# Text that Postgres makes of jsonb: the same for the same line, whoever reads it and in whatever time zone.
CONTENT = """jsonb_build_array(entry.verb, entry.subject_type, entry.subject_id, entry.actor_kind,
  entry.actor_id, entry.actor_label, (extract(epoch from entry.at) * 1000000)::bigint,
  entry.correlation_id, entry.detail)::text"""

_TAKE_OF_TENANTS = f"""
with due as (
  delete from tenants_unsealedentry where id in (select id from tenants_unsealedentry order by id limit %s)
  returning id, tenant_id
)
select due.tenant_id, due.id, {CONTENT}
from due left join tenants_journalentry entry on entry.tenant_id = due.tenant_id and entry.id = due.id
where not exists (
  select from tenants_journalseal seal where seal.tenant_id = due.tenant_id and seal.entry_id = due.id
)
order by due.tenant_id, due.id
"""  # noqa: S608  # constants of this file
_TAKE_OF_PLATFORM = f"""
with due as (
  delete from tenants_unsealedplatformentry
  where id in (select id from tenants_unsealedplatformentry order by id limit %s)
  returning id
)
select '{chain.PLATFORM}'::uuid, due.id, {CONTENT}
from due left join tenants_platformjournalentry entry on entry.id = due.id
where not exists (select from tenants_platformjournalseal seal where seal.entry_id = due.id)
order by due.id
"""  # noqa: S608
_HEADS_OF_TENANTS = """
select chain.id, head.seq, head.link from unnest(%s::uuid[]) chain (id), lateral (
  select seq, link from tenants_journalseal where tenant_id = chain.id order by seq desc limit 1
) head
"""
_HEADS_OF_PLATFORM = """
select chain.id, head.seq, head.link from unnest(%s::uuid[]) chain (id), lateral (
  select seq, link from tenants_platformjournalseal order by seq desc limit 1
) head
"""
_SEAL_OF_TENANTS = """
insert into tenants_journalseal (tenant_id, seq, entry_id, payload_hash, link, key_id, sealed_at)
select *, awf_now() from unnest(%s::uuid[], %s::bigint[], %s::uuid[], %s::bytea[], %s::bytea[], %s::text[])
"""
_SEAL_OF_PLATFORM = """
insert into tenants_platformjournalseal (seq, entry_id, payload_hash, link, key_id, sealed_at)
select seq, entry_id, payload_hash, link, key_id, awf_now()
from unnest(%s::uuid[], %s::bigint[], %s::uuid[], %s::bytea[], %s::bytea[], %s::text[])
  sealed (chain, seq, entry_id, payload_hash, link, key_id)
"""
_MOVED = """
select tenant.id, head.seq, encode(head.link, 'hex') from tenants_tenant tenant, lateral (
  select seq, link, sealed_at from tenants_journalseal where tenant_id = tenant.id order by seq desc limit 1
) head where head.sealed_at > awf_now() - make_interval(secs => %s)
union all
(select %s::uuid, seq, encode(link, 'hex') from tenants_platformjournalseal
 where sealed_at > awf_now() - make_interval(secs => %s) order by seq desc limit 1)
"""


@dataclass(frozen=True)
class Journal:
    """One of the two: who seals it under which lock, and the statements that differ."""

    lock: int
    role: str
    take: str
    heads: str
    seal: str

    def block(self) -> AbstractContextManager[datetime]:
        return scoping.pipeline() if self.role == "pipeline" else scoping.platform(durable=True)


@dataclass(frozen=True)
class Link:
    """One row to be written."""

    chain: UUID
    seq: int
    entry_id: UUID
    payload: bytes
    link: bytes


OF_TENANTS = Journal(0x61776673, "pipeline", _TAKE_OF_TENANTS, _HEADS_OF_TENANTS, _SEAL_OF_TENANTS)
OF_PLATFORM = Journal(
    0x61776670, "platform", _TAKE_OF_PLATFORM, _HEADS_OF_PLATFORM, _SEAL_OF_PLATFORM
)


def seal_due() -> int:
    """Seal what has been committed since; returns how many lines, where a whole batch was found and more may wait.

    A few sealed lines are no reason to run every sweep again at once.
    """
    n_sealed = sum(_seal(journal) for journal in (OF_TENANTS, OF_PLATFORM))
    return n_sealed if n_sealed >= BATCH else 0


def seal_all() -> int:
    """Until nothing waits that this process may seal, for commands that need the chain complete."""
    total = 0
    while n_sealed := sum(_seal(journal) for journal in (OF_TENANTS, OF_PLATFORM)):
        total += n_sealed
    return total


def tell_heads() -> int:
    """The heads that moved, into the log: what is kept outside the database cannot be rewritten in it."""
    with scoping.pipeline(), connection.cursor() as cursor:
        cursor.execute(_MOVED, [TOLD_SECONDS, str(chain.PLATFORM), TOLD_SECONDS])
        heads = cursor.fetchall()
    for tenant_id, seq, link in heads:
        logger.info("journal head", extra={"tenant_id": str(tenant_id), "seq": seq, "hash": link})
    return 0


def _seal(journal: Journal) -> int:
    with journal.block(), connection.cursor() as cursor:
        cursor.execute(_ONE_SEALER, [journal.lock])
        if not cursor.fetchone()[0]:
            return 0  # another process seals: nobody waits for it
        cursor.execute(journal.take, [BATCH])
        taken = cursor.fetchall()
        if taken:
            _write(journal, taken)
    return len(taken)


def _write(journal: Journal, taken: Sequence[tuple[Any, ...]]) -> None:
    key_id, key = next(iter(chain.keys().items()))
    with connection.cursor() as cursor:
        cursor.execute(journal.heads, [list({row[0] for row in taken})])
        heads = {chain_id: Head(seq, bytes(link)) for chain_id, seq, link in cursor.fetchall()}
        made = list(_links(taken, heads, key))
        columns: list[list[Any]] = [
            [link.chain for link in made],
            [link.seq for link in made],
            [link.entry_id for link in made],
            [link.payload for link in made],
            [link.link for link in made],
            [key_id] * len(made),
        ]
        cursor.execute(journal.seal, columns)


def _links(taken: Iterable[tuple[Any, ...]], heads: dict[UUID, Head], key: bytes) -> Iterator[Link]:
    """Every chain goes on from its head; within a batch the lines follow their ids."""
    for chain_id, lines in groupby(taken, key=lambda row: row[0]):
        head = heads.get(chain_id, Head(0, START))
        for _, entry_id, content in lines:
            payload, seq = chain.payload_hash(key, content), head.seq + 1
            made = chain.link(
                key,
                chain=chain_id,
                previous=head.link,
                seq=seq,
                entry_id=entry_id,
                payload=payload,
            )
            head = Head(seq, made)
            yield Link(chain_id, seq, entry_id, payload, made)
