"""The only place that compares the journal with its seals and names what was changed."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from tenants import chain, scoping
from tenants.chain import Finding, Head, Sealed, Walk
from tenants.sealing import CONTENT

BATCH = 2000
LATE_SECONDS = 60  # a sealer that lives takes one
NAMED = 20  # of the tail
ERASED_VERB = "tenant_erased"
_ERASED_END = '{"erased": true}]'

_OF_TENANT = f"""
select seal.seq, seal.entry_id, seal.payload_hash, seal.link, seal.key_id,
       case when entry.id is not null then {CONTENT} end
from tenants_journalseal seal
left join tenants_journalentry entry on entry.tenant_id = seal.tenant_id and entry.id = seal.entry_id
where seal.tenant_id = %(chain)s and seal.seq > %(after)s order by seal.seq limit %(most)s
"""  # noqa: S608  # constants of this product
_OF_PLATFORM = f"""
select seal.seq, seal.entry_id, seal.payload_hash, seal.link, seal.key_id,
       case when entry.id is not null then {CONTENT} end
from tenants_platformjournalseal seal
left join tenants_platformjournalentry entry on entry.id = seal.entry_id
where seal.seq > %(after)s order by seal.seq limit %(most)s
"""  # noqa: S608
# Every line is looked at, since one that was slipped in has no seal and waits for none.
_TAIL_OF_TENANT = """
with part as (
  select id, at from tenants_journalentry
  where tenant_id = %(chain)s and id > %(after)s order by id limit %(most)s
)
select part.id, part.at, seal.entry_id is not null, waiting.id is not null, awf_now()
from part
left join tenants_journalseal seal on seal.tenant_id = %(chain)s and seal.entry_id = part.id
left join tenants_unsealedentry waiting on waiting.id = part.id
order by part.id
"""
_TAIL_OF_PLATFORM = """
with part as (
  select id, at from tenants_platformjournalentry where id > %(after)s order by id limit %(most)s
)
select part.id, part.at, seal.entry_id is not null, waiting.id is not null, awf_now()
from part
left join tenants_platformjournalseal seal on seal.entry_id = part.id
left join tenants_unsealedplatformentry waiting on waiting.id = part.id
order by part.id
"""
_ERASURE = f"""
select (entry.detail ->> 'through_seq')::bigint, seal.payload_hash, seal.key_id, {CONTENT}
from tenants_platformjournalentry entry
join tenants_platformjournalseal seal on seal.entry_id = entry.id
where entry.verb = %s and entry.subject_id = %s order by seal.seq desc
"""  # noqa: S608


@dataclass
class Report:
    """What one chain is worth."""

    chain: UUID
    findings: list[Finding] = field(default_factory=list)
    n_sealed: int = 0
    n_erased: int = 0
    head: Head | None = None
    n_waiting: int = 0
    waiting: list[UUID] = field(default_factory=list)  # the first of them


def verify(chain_id: UUID, *, expected: Head | None = None) -> Report:
    """Walk one chain from its first link. `expected` is a head that was noted elsewhere: it must still be in it."""
    report = Report(chain_id)
    walk = Walk(
        chain_id, chain.keys(), erased_through=_erased_through(chain_id), erased=_ERASED_END
    )
    for row in _rows(chain_id):
        report.findings.extend(walk.judge(row))
        report.head = Head(row.seq, row.link)
        report.n_sealed += 1
        if expected is not None and row.seq == expected.seq and row.link != expected.link:
            says = f"Seal {row.seq} is not the one that was noted: the chain was made anew."
            report.findings.append(Finding("truncated", says, row.seq, row.entry_id))
    report.n_erased = walk.n_erased
    if expected is not None and (report.head is None or report.head.seq < expected.seq):
        says = f"The chain ends before seal {expected.seq}, which was noted."
        report.findings.append(Finding("truncated", says, expected.seq))
    _tail(report)
    return report


def _tail(report: Report) -> None:
    """Lines without a seal: those that wait for the sealer are named, the others were slipped in past it."""
    for entry_id, at, is_sealed, is_waiting, now in _parts(report.chain, of_tail=True):
        if is_sealed:
            continue
        if not is_waiting:
            says = "The line has no seal and waits for none: it was added past the sealer."
            report.findings.append(Finding("unsealed", says, entry_id=entry_id))
            continue
        report.n_waiting += 1
        report.waiting = [*report.waiting, entry_id][:NAMED]
        if report.n_waiting == 1 and now - at > timedelta(seconds=LATE_SECONDS):
            says = f"The line has waited for its seal since {at:%Y-%m-%d %H:%M:%S}: no sealer runs."
            report.findings.append(Finding("unsealed", says, entry_id=entry_id))


def _rows(chain_id: UUID) -> Iterator[Sealed]:
    for seq, entry_id, payload, link, key_id, content in _parts(chain_id, of_tail=False):
        yield Sealed(seq, entry_id, bytes(payload), bytes(link), key_id, content)


def _parts(chain_id: UUID, *, of_tail: bool) -> Iterator[tuple[Any, ...]]:
    """In batches, each in a block of its own: a long journal holds no transaction open."""
    is_platform = chain_id == chain.PLATFORM
    if of_tail:
        statement = _TAIL_OF_PLATFORM if is_platform else _TAIL_OF_TENANT
    else:
        statement = _OF_PLATFORM if is_platform else _OF_TENANT
    after: Any = UUID(int=0) if of_tail else 0
    while True:
        with _block(chain_id), connection.cursor() as cursor:
            cursor.execute(statement, {"chain": chain_id, "after": after, "most": BATCH})
            rows = cursor.fetchall()
        yield from rows
        if len(rows) < BATCH:
            return
        after = rows[-1][0]


def _block(chain_id: UUID) -> AbstractContextManager[datetime]:
    return scoping.platform() if chain_id == chain.PLATFORM else scoping.bound(chain_id)


def _erased_through(chain_id: UUID) -> int:
    """The seq up to which the platform's own journal says that lines were blanked; its seal must hold."""
    if chain_id == chain.PLATFORM:
        return 0
    with scoping.platform(), connection.cursor() as cursor:
        cursor.execute(_ERASURE, [ERASED_VERB, str(chain_id)])
        lines = cursor.fetchall()
    keys = chain.keys()
    for through, payload, key_id, content in lines:
        key = keys.get(key_id)
        if key is not None and chain.payload_hash(key, content) == bytes(payload):
            return int(through)
    return 0
