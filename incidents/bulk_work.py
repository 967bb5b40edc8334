"""The only place that works jobs over many incidents: a sweep, in chunks, each incident on its own merits.

1. Claim a job by a lease (a transaction of the pipeline role). 2. Chunk by chunk (a transaction of the tenant each):
lock the job, which fences off whoever thought it was theirs, take the next waiting items, do it, and keep of each
what it was before. Killed anywhere, the next claim goes on behind the last chunk that was committed.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection

from awfdrs_site.lib import correlation
from awfdrs_site.lib.failpoints import failpoint
from incidents import bulk_verbs, keeping, lifecycle, undo
from incidents.bulk_verbs import Asked
from incidents.models import BulkItem, BulkJob, Incident
from incidents.states import BulkState, ItemState
from tenants import journal, scoping
from tenants.journal import Actor

logger = logging.getLogger(__name__)

CHUNK = 500
CHUNKS = 4  # of one job before others have their turn
AT_ONCE = 100  # incidents: so few are done while the person waits

_CLAIM = """
with due as (
  select id from incidents_bulkjob
  where state in ('working', 'undoing') and (lease_until is null or lease_until < awf_now())
  order by lease_until nulls first, id limit 1 for update skip locked
)
update incidents_bulkjob job
set lease_token = nextval('awf_lease'), lease_until = awf_now() + interval '30 seconds'
from due where job.id = due.id
returning job.tenant_id, job.id, job.lease_token
"""
_SETTLE = """
update incidents_bulkitem item
set state = given.state, reason = given.reason, before = given.before, after = given.after
from json_to_recordset(%s::json) as given (id uuid, state text, reason text, before jsonb, after jsonb)
where item.tenant_id = %s and item.id = given.id
"""
GIVEN_UP = "Its runs were given up for good: reopen it instead."
BROKE = "Something broke on our side; it is as it was."

Settle = Callable[[BulkItem, Incident], None]


def work_due(*, chunks: int = CHUNKS) -> int:
    """The sweep: go on with the job that waits longest; returns how many incidents it settled."""
    claimed = scoping.found(_CLAIM, [])
    return sum(_work(tenant_id, pk, token, chunks) for tenant_id, pk, token in claimed)


def work_here(job: BulkJob, *, now: datetime) -> bool:
    """Do a small job in the transaction of the request; False leaves it to the sweep."""
    items = BulkItem.objects.for_tenant(job.tenant_id).filter(job=job)
    # A waiver locks further incidents, which would be out of order among so many.
    if job.parameters.get("waive_unrecovered") or items.count() > AT_ONCE:
        return False
    _settle_chunk(job, now=now)
    _finish(job, now=now)
    return True


def _work(tenant_id: UUID, job_id: UUID, token: int, chunks: int) -> int:
    settled = 0
    for _ in range(chunks):
        n = _try_chunk(tenant_id, job_id, token)
        failpoint("bulk.after_chunk")
        settled += n
        if n == 0:
            break
    with scoping.bound(tenant_id, durable=True) as now:
        held = BulkJob.objects.for_tenant(tenant_id).filter(pk=job_id, lease_token=token)
        held.update(lease_until=now)
    return settled


def _try_chunk(tenant_id: UUID, job_id: UUID, token: int) -> int:
    """One chunk; when it breaks, its incidents one by one, so that the others are not held up."""
    try:
        return _in_turn(tenant_id, job_id, token, _settle_chunk) or _alone(tenant_id, job_id, token)
    except OperationalError:
        raise  # a lock or the database: the next sweep goes on here
    except Exception:
        logger.exception("a chunk of bulk job %s failed", job_id)
        return _one_by_one(tenant_id, job_id, token)


def _in_turn(tenant_id: UUID, job_id: UUID, token: int, do: Callable[..., int], **said: Any) -> int:
    """`do` to the job in a transaction of its own, while it is ours."""
    with scoping.bound(tenant_id, durable=True) as now:
        held = BulkJob.objects.for_tenant(tenant_id).select_for_update()
        job = held.filter(pk=job_id, lease_token=token).first()
        if job is None or job.state not in (BulkState.WORKING, BulkState.UNDOING):
            return 0
        with correlation.correlated(job.correlation_id):
            n = do(job, now=now, **said)
            if n == 0 and not said:
                _finish(job, now=now)
            return n


def _alone(tenant_id: UUID, job_id: UUID, token: int) -> int:
    """Those that must lock further incidents, each in a transaction of its own."""
    done = 0
    for item_id in _waiting_ids(tenant_id, job_id):
        done += _in_turn(tenant_id, job_id, token, _settle_one, item_id=item_id)
    return done


def _one_by_one(tenant_id: UUID, job_id: UUID, token: int) -> int:
    done = 0
    for item_id in _waiting_ids(tenant_id, job_id):
        try:
            done += _in_turn(tenant_id, job_id, token, _settle_one, item_id=item_id)
        except OperationalError:
            raise
        except Exception:
            logger.exception("item %s of bulk job %s failed", item_id, job_id)
            done += _in_turn(tenant_id, job_id, token, _give_up, item_id=item_id)
    return done


def _waiting_ids(tenant_id: UUID, job_id: UUID) -> Sequence[UUID]:
    with scoping.bound(tenant_id):
        job = BulkJob.objects.for_tenant(tenant_id).get(pk=job_id)
        is_over = job.state in (BulkState.DONE, BulkState.UNDONE)
        return [] if is_over else [item.pk for item in _waiting(job)[:CHUNK]]


def _waiting(job: BulkJob) -> Any:
    state = ItemState.WAITING if job.state == BulkState.WORKING else ItemState.DONE
    items = BulkItem.objects.for_tenant(job.tenant_id).filter(job=job, state=state)
    return items.order_by("incident_id")


def _settle_chunk(job: BulkJob, *, now: datetime) -> int:
    """The next items together; what waives runs is left for `_alone`."""
    asked = _asked(job, now)
    waiting = _waiting(job)
    if asked.waives:
        waiting = waiting.filter(incident__unrecovered_runs=0)
    items = list(waiting[:CHUNK])
    with keeping.together(job.tenant_id, [item.incident_id for item in items]) as rows:
        settle = _settling(job, rows, asked)
        settled = [item for item in items if settle(item, rows[item.incident_id])]
    _store(job, settled)
    return len(settled)


def _settle_one(job: BulkJob, *, now: datetime, item_id: UUID) -> int:
    item = _waiting(job).select_for_update().filter(pk=item_id).first()
    if item is None:
        return 0
    asked = _asked(job, now)
    mine = Incident.objects.for_tenant(job.tenant_id)
    row = keeping.locked(mine.get(pk=item.incident_id), with_sharers=asked.waives)
    _settling(job, {row.pk: row}, asked, is_alone=True)(item, row)
    _store(job, [item])
    return 1


def _give_up(job: BulkJob, *, now: datetime, item_id: UUID) -> int:
    item = _waiting(job).filter(pk=item_id).first()
    if item is None:
        return 0
    item.state = ItemState.FAILED if job.state == BulkState.WORKING else ItemState.KEPT
    item.reason = BROKE
    _store(job, [item])
    return 1


def _settling(
    job: BulkJob, rows: Mapping[UUID, Incident], asked: Asked, *, is_alone: bool = False
) -> Callable[[BulkItem, Incident], bool]:
    if job.state == BulkState.WORKING:
        return lambda item, row: _do(job.verb, item, row, asked, is_alone=is_alone)
    taken = undo.open_elsewhere(job.tenant_id, rows.values())
    return lambda item, row: _take_back(job.verb, item, row, asked, taken)


def _do(verb: str, item: BulkItem, row: Incident, asked: Asked, *, is_alone: bool) -> bool:
    """Whether the item is settled: one whose runs are to be given up was not, among others."""
    if asked.waives and row.unrecovered_runs and not is_alone:
        return False
    before, left = keeping.snapshot(row), row.unrecovered_runs
    try:
        after = bulk_verbs.act(verb, row, asked)
    except bulk_verbs.REFUSALS as refused:
        item.state, item.reason = ItemState.FAILED, str(refused)[:500]
        return True
    item.before, item.after = before, keeping.snapshot(after)
    item.state = ItemState.UNCHANGED if item.before == item.after else ItemState.DONE
    if after.unrecovered_runs != left:
        item.before = item.after = None
    return True


def _take_back(verb: str, item: BulkItem, row: Incident, asked: Asked, taken: set[str]) -> bool:
    if item.before is None or item.after is None:
        item.state, item.reason = ItemState.KEPT, GIVEN_UP
        return True
    said = {"verb": verb, "before": item.before, "after": item.after, "taken": taken}
    try:
        lifecycle.restore(row, by=asked.by, now=asked.now, **said)
    except bulk_verbs.REFUSALS as refused:
        item.state, item.reason = ItemState.KEPT, str(refused)[:500]
        return True
    item.state = ItemState.UNDONE
    return True


def _asked(job: BulkJob, now: datetime) -> Asked:
    is_undo = job.state == BulkState.UNDOING
    return Asked({} if is_undo else job.parameters, _actor(job, is_undo=is_undo), now)


def _store(job: BulkJob, items: Sequence[BulkItem]) -> None:
    if not items:
        return
    said = [
        {
            "id": str(item.pk),
            "state": str(item.state),
            "reason": item.reason,
            "before": item.before,
            "after": item.after,
        }
        for item in items
    ]
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE, [json.dumps(said), job.tenant_id])
    journal.announce(job)


def _finish(job: BulkJob, *, now: datetime) -> None:
    """The job is over when nothing waits any more."""
    if _waiting(job).exists():
        return
    was_undone = job.state == BulkState.UNDOING
    job.state = BulkState.UNDONE if was_undone else BulkState.DONE
    job.finished_at, job.lease_until = now, None
    job.save(update_fields=["state", "finished_at", "lease_until"])
    verb = "bulk_undone" if was_undone else "bulk_done"
    journal.record(job, verb, by=_actor(job, is_undo=was_undone), at=now, action=job.verb)


def _actor(job: BulkJob, *, is_undo: bool) -> Actor:
    if is_undo and job.undone_by:
        return Actor(**job.undone_by)
    return Actor(job.actor_kind, job.actor_id, job.actor_label)
