"""The only place between the bytes a caller sends and `ingest.store`: judged, limited, stored, kept or counted.

It knows no framework: every door, the DRF one and any in front of it, hands over bytes and who sends them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from awfdrs_site.lib import clock, metrics
from awfdrs_site.lib.problems import Problem
from events import answering, backlog, batches, conservation, ingest, quarantine, rate
from events.batches import Item
from events.conservation import Tally
from events.ingest import Submission, Verdict
from events.quarantine import Refusal
from events.rate import Taken
from events.validation import IncomingEvent
from tenants import scoping
from tenants.access import Caller

Outcome: TypeAlias = Verdict | Problem
# Of callers, for the reader of a metric; what it is called in the books is `limited`.
_LIMIT_TYPE = "ingest"


@dataclass(frozen=True)
class Sender:
    """Who hands something over, and how."""

    caller: Caller
    correlation_id: str
    is_dry_run: bool = False

    @property
    def tenant_id(self) -> UUID:
        return self.caller.tenant.id


@dataclass(frozen=True)
class Judged:
    """One item after validation: an event, or the problem with it."""

    item: Item
    event: IncomingEvent | None = None
    problem: Problem | None = None


class _Undone(Exception):
    """One event of an atomic batch is not valid: none is stored."""


def admit(sender: Sender, *, n: int = 1, is_batch: bool = False) -> Taken | None:
    """Let `n` events of this caller come in. Raises Problem 429 and 503, counted; None: no limit."""
    key_id = sender.caller.key_id
    taken = None
    if key_id is not None:
        limit = rate.limit_of(sender.caller.rate_per_second, sender.caller.burst)
        taken = rate.take(key_id, limit, n=n)
        if not taken.is_allowed:
            _count(sender, Tally(received=n, limited=n))
            metrics.RATE_LIMITED.labels(str(sender.tenant_id), _LIMIT_TYPE).inc(n)
            raise _limited(taken, n)
    if backlog.is_above(batch=is_batch):
        _count(sender, Tally(received=n, refused=n))
        headers = taken.headers if taken else None
        raise Problem("backlog", headers=headers, retry_after=backlog.RETRY_AFTER_SECONDS)
    return taken


def refuse(sender: Sender, problem: Problem, *, body: bytes | None = None) -> Problem:
    """A whole request that is none: kept where it is worth it, and counted; returns the problem."""
    if not sender.is_dry_run:
        with scoping.bound(sender.tenant_id, durable=True) as now:
            n_kept = 0 if body is None else _keep(sender, [Refusal(body, problem)], now=now)
            tally = Tally(received=1, quarantined=n_kept, refused=1 - n_kept)
            conservation.count(sender.tenant_id, sender.caller.key_id, tally, now=now)
        _count_rejected(sender, problem, None)
    return problem


def take(sender: Sender, raw: bytes) -> Verdict:
    """One event that was admitted. Raises Problem 400, 403, 413 and 422."""
    (outcome,) = take_all(sender, [batches.item(raw)])
    if isinstance(outcome, Problem):
        raise outcome
    return outcome


def take_all(sender: Sender, items: Sequence[Item], *, is_atomic: bool = False) -> list[Outcome]:
    """The verdict or problem of each, in order; what is valid is committed, what is refused is kept.

    One transaction for the events, what was refused and the books. Atomic: with one refused, none is stored.
    """
    now = clock.read()
    judged = [_judge(sender, item, now=now) for item in items]
    outcomes: list[Outcome] = []

    def beside(verdicts: list[Verdict], now: datetime) -> None:
        outcomes[:] = _outcomes(judged, verdicts)
        if is_atomic and any(isinstance(one, Problem) for one in outcomes):
            raise _Undone
        _write(sender, judged, outcomes, now=now)

    events = [one.event for one in judged if one.event is not None]
    submissions = [Submission(event, sender.correlation_id) for event in events]
    try:
        ingest.store(sender.tenant_id, submissions, dry_run=sender.is_dry_run, beside=beside)
    except _Undone:
        outcomes = [_not_stored(one) for one in outcomes]
        with scoping.bound(sender.tenant_id, durable=True) as now:
            _write(sender, judged, outcomes, now=now)
    if not sender.is_dry_run:
        _count_outcomes(sender, judged, outcomes)
    return outcomes


def _judge(sender: Sender, item: Item, *, now: datetime) -> Judged:
    if item.problem is not None:
        return Judged(item, problem=item.problem)
    try:
        return Judged(item, answering.judged(item.value, tenant_id=sender.tenant_id, now=now))
    except Problem as problem:
        return Judged(item, problem=problem)


def _outcomes(judged: Sequence[Judged], verdicts: Sequence[Verdict]) -> list[Outcome]:
    stored = iter(verdicts)
    return [
        one.problem or Problem("validation_failed")
        if one.event is None
        else answering.outcome(one.event, next(stored))
        for one in judged
    ]


def _not_stored(outcome: Outcome) -> Outcome:
    """Of an atomic batch that was refused: what was stored before stays so."""
    if isinstance(outcome, Problem) or outcome.status == "replayed":
        return outcome
    return Problem("batch_refused", "Not stored: other events of this atomic batch are not valid.")


def _write(
    sender: Sender, judged: Sequence[Judged], outcomes: Sequence[Outcome], *, now: datetime
) -> None:
    if sender.is_dry_run:
        return
    refusals = [
        Refusal(one.item.content, outcome)
        for one, outcome in zip(judged, outcomes, strict=True)
        if isinstance(outcome, Problem) and outcome.code in quarantine.KEPT_CODES
    ]
    n_kept = _keep(sender, refusals, now=now)
    statuses = [one.status for one in outcomes if isinstance(one, Verdict)]
    tally = Tally(
        received=len(judged),
        accepted=statuses.count("accepted"),
        replayed=statuses.count("replayed"),
        quarantined=n_kept,
        refused=sum(isinstance(one, Problem) for one in outcomes) - n_kept,
    )
    conservation.count(sender.tenant_id, sender.caller.key_id, tally, now=now)


def _keep(sender: Sender, refusals: Sequence[Refusal], *, now: datetime) -> int:
    if not refusals:
        return 0
    return quarantine.keep(
        sender.tenant_id,
        sender.caller.key_id,
        refusals,
        correlation_id=sender.correlation_id,
        now=now,
    )


def _count(sender: Sender, tally: Tally) -> None:
    if not sender.is_dry_run:
        with scoping.bound(sender.tenant_id, durable=True) as now:
            conservation.count(sender.tenant_id, sender.caller.key_id, tally, now=now)


def _limited(taken: Taken, n: int) -> Problem:
    detail = "This key sends more than its limit."
    if n > taken.limit.burst:
        detail = f"This key may send {taken.limit.burst} events at once: send fewer in a batch."
    return Problem("rate_limited", detail, headers=taken.headers, retry_after=taken.seconds)


def _count_outcomes(sender: Sender, judged: Sequence[Judged], outcomes: Sequence[Outcome]) -> None:
    """A batch of one workflow is counted by one step, not by a thousand."""
    tenant_id = str(sender.tenant_id)
    stored, n_again = Counter[tuple[str, str]](), 0
    for one, outcome in zip(judged, outcomes, strict=True):
        if isinstance(outcome, Problem):
            _count_rejected(sender, outcome, one.event)
        elif outcome.status == "replayed":
            n_again += 1
        elif one.event is not None:
            stored[_said(one.event)] += 1
    for (workflow, kind), n in stored.items():
        metrics.EVENTS_INGESTED.labels(tenant_id, *_labels(workflow, kind)).inc(n)
    if n_again:
        metrics.DUPLICATES.labels(tenant_id).inc(n_again)


def _count_rejected(sender: Sender, problem: Problem, event: IncomingEvent | None) -> None:
    tenant_id, said = str(sender.tenant_id), _said(event) if event else ("", "")
    metrics.EVENTS_REJECTED.labels(tenant_id, *_labels(*said), problem.code).inc()


def _said(event: IncomingEvent) -> tuple[str, str]:
    return event.workflow_slug or str(event.workflow_id), event.event_type


def _labels(workflow: str, kind: str) -> tuple[str, str]:
    return metrics.WORKFLOWS.known(workflow), metrics.EVENT_TYPES.known(kind)
