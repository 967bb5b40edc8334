"""The only writer of deliveries: written with the change, claimed and sent at least once, settled; rows are the log.

1. tell    [caller's tx]   one pending row for one purpose.
2. claim   [tx, pipeline]  lease what is due, and what a dead worker was sending, with a fencing token.
3. start   [tx, tenant]    gather what goes out as one message, or hold it back, and count the try.
4. perform [no tx]         `delivery_calls`, within its deadline.
5. settle  [tx, tenant]    write the outcome where the token still fits.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import random
from uuid import UUID

from django.contrib.auth.models import User
from django.db import connection, transaction

from actions import delivery_calls, delivery_grouping, retry, ticket_rows
from actions.channels import Message
from actions.delivery_calls import Outcome
from actions.models import Action, Channel, Delivery
from actions.states import DeliveryKind, DeliveryStatus
from awfdrs_site.lib import correlation, sweeping
from awfdrs_site.lib.failpoints import failpoint
from awfdrs_site.lib.wake import wake
from incidents.models import Incident
from safety.ruletypes import RetryPolicy
from tenants import journal, scoping
from tenants.journal import SYSTEM, Actor

logger = logging.getLogger(__name__)

BATCH = 50
KEPT_FOR = timedelta(hours=24)  # a destination that is down this long has lost the message
SUBJECT_CHARACTERS = 200
LEASE_SECONDS = 90
LEASE_MARGIN = timedelta(seconds=40)  # three calls to one tracker, and their settlement
# From five seconds to a quarter of an hour: a page that failed once should not wait long.
POLICY = RetryPolicy(
    enabled=True, initial_delay_ms=5_000, max_delay_ms=900_000, jitter="equal", max_retries=1
)
RESENDABLE = (DeliveryStatus.SENT, DeliveryStatus.GROUPED, DeliveryStatus.FAILED)

_CLAIM = """
with due as (
  select id from actions_delivery
  where status = 'pending' and due_at <= awf_now() and sent_with_id is null
    and (lease_until is null or lease_until < awf_now())
  order by due_at, id limit %(limit)s for update skip locked
), lost as (
  select id from actions_delivery
  where status = 'sending' and lease_until < awf_now()
  order by lease_until limit %(limit)s for update skip locked
), claimed as (
  select id from due union all select id from lost
)
update actions_delivery delivery
set lease_token = nextval('awf_lease'), lease_until = awf_now() + make_interval(secs => %(lease)s)
from claimed where delivery.id = claimed.id
returning delivery.tenant_id, delivery.id, delivery.lease_token
"""
_CLAIM_ONE = """
update actions_delivery delivery
set lease_token = nextval('awf_lease'), lease_until = awf_now() + make_interval(secs => %(lease)s)
where tenant_id = %(tenant)s and id = %(id)s and sent_with_id is null
  and (status = 'pending' and (lease_until is null or lease_until < awf_now())
    or status = 'sending' and lease_until < awf_now())
returning delivery.tenant_id, delivery.id, delivery.lease_token
"""


class ResendRefused(Exception):
    """It is on its way still: once more would only be twice."""


@dataclass(frozen=True)
class Claim:
    """A delivery we hold until its lease lapses; the token is in every write."""

    tenant_id: UUID
    delivery_id: UUID
    token: int


def tell(
    *,
    tenant_id: UUID,
    kind: DeliveryKind,
    target: Channel | User,
    subject: str,
    text: str,
    dedupe_key: str,
    now: datetime,
    incident: Incident | None = None,
    action: Action | None = None,
) -> Delivery:
    """Say it once per `dedupe_key`, in the caller's transaction; who was told already is returned as told.

    A tracker is not told twice of one incident, whoever tells it: it has one ticket, and that is its key.
    """
    channel = target if isinstance(target, Channel) else None
    if incident and channel and channel.kind in ticket_rows.TRACKERS and kind in ticket_rows.OPENS:
        ticket = ticket_rows.wanted(incident, channel, action=action, now=now)
        kind, dedupe_key = (
            DeliveryKind.TICKET_OPEN,
            ticket_rows.key_of(ticket, DeliveryKind.TICKET_OPEN),
        )
    return _store(
        Delivery(
            tenant_id=tenant_id,
            kind=kind,
            dedupe_key=dedupe_key,
            channel=channel,
            user=None if isinstance(target, Channel) else target,
            incident=incident,
            action=action,
            subject=subject[:SUBJECT_CHARACTERS],
            text=text,
            due_at=now + delivery_grouping.wait_of(channel, kind),
        ),
        now=now,
    )


def resend(delivery: Delivery, *, by: Actor, now: datetime) -> Delivery:
    """Say it again, as a line of its own in the log; the second of two clicks changes nothing. Raises ResendRefused."""
    if delivery.status not in RESENDABLE:
        raise ResendRefused(f"A delivery that is {delivery.status} is still on its way.")
    mine = Delivery.objects.for_tenant(delivery.tenant_id)
    root = delivery.dedupe_key.partition("#again:")[0]
    before = list(mine.filter(dedupe_key__startswith=f"{root}#again:").order_by("id"))
    if before and before[-1].status not in RESENDABLE:
        return before[-1]
    again = Delivery(
        tenant_id=delivery.tenant_id,
        kind=delivery.kind,
        dedupe_key=f"{root}#again:{len(before) + 1}",
        channel_id=delivery.channel_id,
        user_id=delivery.user_id,
        incident_id=delivery.incident_id,
        action_id=delivery.action_id,
        subject=delivery.subject,
        text=delivery.text,
        due_at=now,
    )
    stored = _store(again, now=now)
    if stored.pk == again.pk:
        journal.record(_about(stored), "delivery_resent", by=by, at=now, delivery=str(stored.pk))
    return stored


def call_off(action: Action, *, reason: str) -> None:
    """What still waits to go out for an action that was undone stays here, and the log says why."""
    mine = Delivery.objects.for_tenant(action.tenant_id)
    waiting = mine.filter(action=action, status=DeliveryStatus.PENDING)
    for delivery in waiting.select_for_update().order_by("id"):
        delivery.status, delivery.error = DeliveryStatus.FAILED, reason
        delivery.lease_token = delivery.lease_until = None
        _save(delivery)
        # What it carried is of others: that goes out by itself.
        mine.filter(sent_with=delivery).update(sent_with=None, attempts_made=0)


def send_due(
    *, limit: int = BATCH, submit: Callable[[Callable[[], None]], object] = sweeping.now_and_here
) -> int:
    """The sweep: claim what is due and hand each to `submit` (a pool's, or run here); returns how many."""
    claimed = scoping.found(_CLAIM, {"limit": limit, "lease": LEASE_SECONDS})
    claims = [Claim(*row) for row in claimed]
    failpoint("delivery.after_claim")
    for claim in claims:
        submit(lambda claim=claim: run(claim))  # type: ignore[misc]
    return len(claims)


def send_at_once(*, tenant_id: UUID, delivery_id: UUID) -> None:
    """Send this one here and now, outside every transaction; nothing where somebody else is at it."""
    with scoping.bound(tenant_id, durable=True), connection.cursor() as cursor:
        cursor.execute(_CLAIM_ONE, {"tenant": tenant_id, "id": delivery_id, "lease": LEASE_SECONDS})
        row = cursor.fetchone()
    if row is not None:
        run(Claim(*row))


def run(claim: Claim) -> None:
    """One message from its claim to its settlement. Never raises: what breaks is found by its lease."""
    try:
        message = start(claim)
        if message is None:
            return
        with correlation.correlated(message.correlation_id):
            failpoint("delivery.after_start")
            outcome = delivery_calls.perform(message)
            failpoint("delivery.after_send_before_result")
            settle(claim, outcome)
    except Exception:
        logger.exception("delivery %s was left to its lease", claim.delivery_id)


def start(claim: Claim) -> Message | None:
    """Count the next try and return what goes out; None when it is held back or another worker has it."""
    with scoping.bound(claim.tenant_id, durable=True) as now:
        first, others = delivery_grouping.gather(
            tenant_id=claim.tenant_id, delivery_id=claim.delivery_id, token=claim.token
        )
        if first is None or first.lease_until is None or first.lease_until - now < LEASE_MARGIN:
            return None
        held_until, why = delivery_grouping.hold_of(first, others, now=now)
        if held_until is not None:
            _hold([first, *others], until=held_until, why=why)
            return None
        first.status, first.attempts_made = DeliveryStatus.SENDING, first.attempts_made + 1
        _save(first)
        for other in others:
            other.sent_with = first
            _save(other)
        return delivery_grouping.message_of(first, others)


def settle(claim: Claim, outcome: Outcome) -> None:
    """Write what became of the try; nothing where the lease was lost meanwhile (a late result)."""
    with scoping.bound(claim.tenant_id, durable=True) as now:
        first, others = delivery_grouping.carried(
            tenant_id=claim.tenant_id, delivery_id=claim.delivery_id, token=claim.token
        )
        if first is None:
            logger.warning("late result of delivery %s changes nothing", claim.delivery_id)
            return
        first.response_status, first.latency_ms = outcome.response_status, outcome.latency_ms
        first.response_excerpt, first.error = outcome.excerpt, outcome.error[:500]
        first.lease_token = first.lease_until = None
        if outcome.ending == "sent":
            _sent(first, others, outcome, now=now)
        elif outcome.ending == "retryable" and now < first.expires_at:
            first.status = DeliveryStatus.PENDING
            # One try is left for the very end: a destination that comes back is not missed by minutes.
            first.due_at = min(now + _wait(first, outcome), first.expires_at)
            _save(first)
        else:
            _failed(first, others, now=now)


def _store(delivery: Delivery, *, now: datetime) -> Delivery:
    delivery.created_at, delivery.expires_at = now, now + KEPT_FOR
    delivery.correlation_id = correlation.current()
    Delivery.objects.bulk_create([delivery], ignore_conflicts=True)
    mine = Delivery.objects.for_tenant(delivery.tenant_id)
    stored: Delivery = mine.get(dedupe_key=delivery.dedupe_key)
    if stored.pk == delivery.pk:
        journal.announce(stored)
        transaction.on_commit(_wake)
    return stored


def _wake() -> None:
    wake("actions.tasks.send_deliveries", queue="actions")


def _hold(deliveries: list[Delivery], *, until: datetime, why: str) -> None:
    for delivery in deliveries:
        delivery.due_at, delivery.error = until, why
        delivery.lease_token = delivery.lease_until = None
        _save(delivery)


def _sent(first: Delivery, others: list[Delivery], outcome: Outcome, *, now: datetime) -> None:
    first.status, first.sent_at = DeliveryStatus.SENT, now
    _save(first)
    for other in others:
        other.status, other.sent_at, other.error = DeliveryStatus.GROUPED, now, ""
        _save(other)
    if first.kind in ticket_rows.KINDS:
        ticket_rows.settle(first, external_id=outcome.ticket_id, url=outcome.ticket_url, now=now)


def _failed(first: Delivery, others: list[Delivery], *, now: datetime) -> None:
    if now >= first.expires_at:
        first.error = f"Not delivered within a day; the last try: {first.error}"[:500]
    for delivery in [first, *others]:
        delivery.status, delivery.error = DeliveryStatus.FAILED, first.error
        _save(delivery)
        journal.record(
            _about(delivery),
            "delivery_failed",
            by=SYSTEM,
            at=now,
            to=delivery_grouping.name_of(delivery),
            said=delivery.subject,
            error=first.error,
        )


def _wait(delivery: Delivery, outcome: Outcome) -> timedelta:
    seconds = retry.delay_seconds(
        POLICY,
        attempt=delivery.attempts_made,
        random=random,
        retry_after_seconds=outcome.retry_after_seconds,
    )
    return timedelta(seconds=seconds)


def _about(delivery: Delivery) -> Incident | Delivery:
    """Whose timeline tells of it."""
    return delivery.incident or delivery


def _save(delivery: Delivery) -> None:
    delivery.version += 1
    delivery.save()
    journal.announce(delivery)
