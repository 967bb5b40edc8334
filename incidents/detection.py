"""The digest: claims undigested events and turns them into incidents, runs and breaker evidence, exactly once.

1. Claim (a transaction of the pipeline role): lease rows of the inbox and count the try before it is made.
2. Digest (a transaction of the tenant): take the leased rows out of the inbox and write everything they mean.
A crash between the two loses nothing: the lease lapses and the rows are claimed again. An event that broke three
tries is set aside, visible, and stops nobody.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import OperationalError, connection
from psycopg.errors import DeadlockDetected

from awfdrs_site.lib import correlation, metrics
from awfdrs_site.lib.failpoints import failpoint
from events.models import Event, PendingEvent
from incidents import (
    aliases,
    grouping,
    hours,
    lifecycle,
    outcome_rules,
    reading,
    runs,
    storms,
    turns,
)
from incidents.analysis.outcome import Outcome
from incidents.models import EventLink, Incident
from incidents.reading import Reading
from incidents.states import OPEN
from safety import breaker
from safety.breaker_step import Outcome as BreakerOutcome
from tenants import journal, scoping
from tenants.journal import SYSTEM
from tenants.models import Vendor

logger = logging.getLogger(__name__)

BATCH = 1000
TRIES = 3
DEADLOCK_TRIES = 3
VENDOR_LIMIT = 1000  # self-registered vendors per tenant; further names count as this one
OTHER_VENDOR = "other"

_CLAIM = """
with due as (
  select id from events_pendingevent
  where poisoned_at is null and (lease_until is null or lease_until < awf_now())
  order by id limit %s for update skip locked
)
update events_pendingevent pending
set lease_token = nextval('awf_lease'), lease_until = awf_now() + interval '30 seconds',
    attempts = attempts + 1
from due where pending.id = due.id
returning pending.tenant_id, pending.id, pending.lease_token, pending.attempts
"""
_TAKE = """
delete from events_pendingevent pending
using unnest(%s::uuid[], %s::bigint[]) as leased (id, token)
where pending.tenant_id = %s and pending.id = leased.id and pending.lease_token = leased.token
returning pending.id
"""
_POISON = """
update events_pendingevent set poisoned_at = awf_now()
where tenant_id = %s and id = any(%s) and attempts >= %s and poisoned_at is null returning id
"""


@dataclass(frozen=True)
class Claim:
    """An inbox row we hold until its lease lapses."""

    id: UUID
    token: int
    attempts: int


def digest(*, limit: int = BATCH) -> int:
    """Digest up to `limit` events, whatever tenant they are of; returns how many it claimed."""
    claimed = _claim(limit)
    for tenant_id, claims in claimed.items():
        fresh = [claim for claim in claims if claim.attempts == 1]
        _try(tenant_id, fresh)
        for claim in claims:
            if (
                claim.attempts > 1
            ):  # it was in a batch that broke: alone now, so that it can break no other
                _try(tenant_id, [claim])
    return sum(map(len, claimed.values()))


def _claim(limit: int) -> dict[UUID, list[Claim]]:
    claimed: dict[UUID, list[Claim]] = defaultdict(list)
    with scoping.pipeline(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, [limit])
        for tenant_id, event_id, token, attempts in cursor.fetchall():
            claimed[tenant_id].append(Claim(event_id, token, attempts))
    failpoint("group.after_claim")
    return claimed


def _try(tenant_id: UUID, claims: Sequence[Claim]) -> None:
    if not claims:
        return
    try:
        with metrics.timed(metrics.DETECTION_SECONDS):
            _digest_claims(tenant_id, claims)
    except Exception:
        logger.exception("digest of %s events failed", len(claims))
        if len(claims) > 1:
            for claim in claims:
                _try(tenant_id, [claim])
        else:
            _set_aside(tenant_id, claims[0])


def _set_aside(tenant_id: UUID, claim: Claim) -> None:
    with scoping.bound(tenant_id) as now, connection.cursor() as cursor:
        cursor.execute(_POISON, [tenant_id, [claim.id], TRIES])
        if cursor.fetchone():
            pending = PendingEvent.objects.for_tenant(tenant_id).get(pk=claim.id)
            journal.record(pending, "poisoned", by=SYSTEM, at=now, tries=TRIES)


def _digest_claims(tenant_id: UUID, claims: Sequence[Claim]) -> None:
    """Digest them; once more when the database ended a deadlock with us, which is no fault of theirs."""
    for tries_left in reversed(range(DEADLOCK_TRIES)):
        try:
            return _digest_once(tenant_id, claims)
        except OperationalError as failure:
            if not tries_left or not isinstance(failure.__cause__, DeadlockDetected):
                raise


def _digest_once(tenant_id: UUID, claims: Sequence[Claim]) -> None:
    with scoping.bound(tenant_id, durable=True) as now:
        turns.take(tenant_id)
        with connection.cursor() as cursor:
            cursor.execute(_TAKE, [[c.id for c in claims], [c.token for c in claims], tenant_id])
            taken = [row[0] for row in cursor.fetchall()]
        mine = Event.objects.for_tenant(tenant_id).filter(pk__in=taken)
        events = list(mine.select_related("workflow").order_by("id"))
        if events:
            with correlation.correlated(events[0].correlation_id):
                _write(tenant_id, _read(tenant_id, events), now=now)
        failpoint("group.before_commit")


def _read(tenant_id: UUID, events: Sequence[Event]) -> list[Reading]:
    """What the events say, in order of arrival, with the tenant's own rules and merges."""
    matchers = outcome_rules.matchers(tenant_id)
    return aliases.follow(tenant_id, [reading.read(event, matchers) for event in events])


def _write(tenant_id: UUID, readings: Sequence[Reading], *, now: datetime) -> None:
    vendors = _vendors(tenant_id, readings)
    _hold(tenant_id, readings, vendors, now=now)
    incidents = grouping.group(tenant_id, reading.failures(readings), vendors=vendors, now=now)
    opened = [incident for incident in incidents.values() if incident.number is None]
    grown = storms.gather(tenant_id, opened, now=now)
    touched = runs.apply(tenant_id, readings, incidents, now=now)
    _link(tenant_id, readings, incidents, touched)
    hours.count(tenant_id, readings, incidents)
    for incident in touched.recovered:
        _resolve(incident, touched, now=now)
    _feed_breakers(readings, incidents, vendors, now=now)
    grouping.number(tenant_id, [*incidents.values(), *grown])
    for incident in [*incidents.values(), *grown]:
        journal.announce(incident)


def _hold(
    tenant_id: UUID, readings: Sequence[Reading], vendors: Mapping[str, Vendor], *, now: datetime
) -> None:
    """Lock every incident the batch may touch, by id and before any run: the lock order of the house.

    Whoever waives a run locks its incidents in the same order, so that neither waits for the other.
    """
    hashes = {said.counted_as for said in readings if said.counted_as}
    failing = {said.event.vendor_name for said in readings if said.counted_as} & vendors.keys()
    behind = runs.incidents_behind(tenant_id, readings).values_list("incident_id")
    touched = behind.union(
        grouping.latest(tenant_id, hashes).values_list("pk"),
        storms.newcomers(tenant_id, {vendors[name].pk for name in failing}, now=now).values_list(
            "pk"
        ),
    )
    held = Incident.objects.for_tenant(tenant_id).filter(pk__in=[row[0] for row in touched])
    list(held.select_for_update().order_by("id").values_list("id"))


def _vendors(tenant_id: UUID, readings: Sequence[Reading]) -> dict[str, Vendor]:
    """Vendor of each name the events carry; an unknown one registers itself up to the limit."""
    names = {r.event.vendor_name for r in readings if r.event.vendor_name}
    if not names:
        return {}
    mine = Vendor.objects.for_tenant(tenant_id)
    known: dict[str, Vendor] = {v.name: v for v in mine.filter(name__in=names | {OTHER_VENDOR})}
    room = VENDOR_LIMIT - mine.count() if names - known.keys() else 0
    fresh = sorted(names - known.keys())[: max(room, 0)]
    overflow = names - known.keys() - set(fresh)
    if overflow and OTHER_VENDOR not in known:
        fresh.append(OTHER_VENDOR)
    Vendor.objects.bulk_create(
        [Vendor(tenant_id=tenant_id, name=name) for name in fresh], ignore_conflicts=True
    )
    known |= {v.name: v for v in mine.filter(name__in=fresh)}
    return known | {name: known[OTHER_VENDOR] for name in overflow}


def _link(
    tenant_id: UUID,
    readings: Sequence[Reading],
    incidents: Mapping[str, Incident],
    touched: runs.Touched,
) -> None:
    links = []
    for said in readings:
        incident = incidents.get(said.counted_as)
        run = touched.runs.get(said.run_key) if said.run_key else None
        links.append(
            EventLink(
                id=said.event.id,
                tenant_id=tenant_id,
                outcome=said.outcome.value,
                incident_id=incident.pk if incident else None,
                run_id=run.pk if run else None,
                signature=said.signature.hash if said.signature else "",
            )
        )
    EventLink.objects.bulk_create(links)


def _resolve(incident: Incident, touched: runs.Touched, *, now: datetime) -> None:
    if incident.status not in OPEN:
        return
    evidence = [str(run.success_event_id) for run in touched.runs.values() if run.success_event_id]
    lifecycle.resolve(
        incident,
        by=SYSTEM,
        now=now,
        reason=_all_recovered(incident.affected_runs),
        evidence=evidence[:20],
    )


def _all_recovered(n_runs: int) -> str:
    if n_runs == 1:
        return "The affected run has recovered."
    return f"All {n_runs} affected runs have recovered."


def _feed_breakers(
    readings: Sequence[Reading],
    incidents: Mapping[str, Incident],
    vendors: Mapping[str, Vendor],
    *,
    now: datetime,
) -> None:
    """What the events say of their vendors, in order of arrival; breakers are locked by vendor id."""
    observed: dict[UUID, list[BreakerOutcome]] = defaultdict(list)
    by_id = {vendor.pk: vendor for vendor in vendors.values()}
    for said in readings:
        vendor = vendors.get(said.event.vendor_name)
        if vendor is None:
            continue
        if said.outcome is Outcome.SUCCESS:
            observed[vendor.pk].append("success")
        elif said.counted_as:
            counts = incidents[said.counted_as].category in breaker.COUNTED_CATEGORIES
            observed[vendor.pk].append("failure" if counts else "ignored")
    for vendor_id in sorted(observed):
        breaker.record(
            by_id[vendor_id], observed[vendor_id], now=now, cause="failures reported by workflows"
        )
