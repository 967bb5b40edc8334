"""The digest: claims undigested events and turns them into incidents, runs and breaker evidence, exactly once.

1. Claim (a transaction of the pipeline role): lease rows of the inbox and count the try before it is made.
2. Digest (a transaction of the tenant): take the leased rows out of the inbox and write everything they mean.
A crash between the two loses nothing: the lease lapses and the rows are claimed again, in smaller groups each time,
until what kills its worker is alone. A batch that raises is halved at once. An event that broke three tries alone,
by raising or by killing, is set aside, visible, and stops nobody.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
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
    learning,
    lifecycle,
    outcome_rules,
    reading,
    runs,
    storms,
    turns,
)
from incidents.analysis.outcome import Outcome
from incidents.models import Incident
from incidents.reading import Reading
from incidents.states import OPEN
from safety import breaker
from safety.breaker_step import Outcome as BreakerOutcome
from tenants import journal, scoping
from tenants.journal import SYSTEM
from tenants.models import Vendor, Workflow

logger = logging.getLogger(__name__)

BATCH = 1000
# How many events share the first try, the second and so on: whoever died may have died of one of them.
SHARED = (BATCH, 250, 60, 15, 4, 1, 1, 1)
TRIES = len(SHARED)
ALONE = SHARED.index(1) + 1  # the first try that an event has to itself
DEADLOCK_TRIES = 3
VENDOR_LIMIT = 1000  # self-registered vendors per tenant; further names count as this one
OTHER_VENDOR = "other"

# Only those whose turn it is: whoever waits for another's batch would hoard events meanwhile, and lose them to
# the next when it waits too long. One group at a time, so that every try that is counted was made: whatever is
# fresh, or of one tenant's events what was tried as often as the first. Half of the time that is the least tried,
# so that many small groups hold up nobody, else the oldest. The lease covers the way to the digest; there the
# rows are locked, and nobody claims them however long it takes.
_CLAIM = f"""
with oldest as materialized (
  select id, tenant_id, attempts from events_pendingevent
  where poisoned_at is null and (lease_until is null or lease_until < awf_now())
  order by id limit %(limit)s
), waiting as materialized (
  select distinct tenant_id from oldest
), free as materialized (
  select tenant_id from waiting where {turns.IS_FREE}
), ready as materialized (
  select oldest.* from oldest join free using (tenant_id)
), head as materialized (
  select tenant_id, attempts from ready
  order by case when (select random() < 0.5) then attempts else 0 end, id limit 1
), due as materialized (
  select ready.id from ready, head
  where ready.attempts = head.attempts and (head.attempts = 0 or ready.tenant_id = head.tenant_id)
  order by ready.id
  limit (select least(%(limit)s, (%(shared)s::int[])[least(attempts + 1, %(tries)s)]) from head)
)
update events_pendingevent pending
set lease_token = nextval('awf_lease'), lease_until = awf_now() + interval '5 seconds',
    attempts = pending.attempts + 1
from due
where pending.id = due.id
  -- again: whoever had the turn when this statement began may have claimed them before it was ours
  and pending.poisoned_at is null and (pending.lease_until is null or pending.lease_until < awf_now())
returning pending.tenant_id, pending.id, pending.lease_token, pending.attempts
"""  # noqa: S608  # of constants
_TAKE = """
with taken as (
  delete from events_pendingevent pending
  using unnest(%(ids)s::uuid[], %(tokens)s::bigint[]) as leased (id, token)
  where pending.tenant_id = %(tenant)s and pending.id = leased.id and pending.lease_token = leased.token
  returning pending.id
)
select event.* from taken join events_event event on event.tenant_id = %(tenant)s and event.id = taken.id
order by event.id
"""
_LINK = """
insert into incidents_eventlink (id, tenant_id, outcome, incident_id, run_id, signature)
select id, %s, outcome, incident_id, run_id, signature
from json_to_recordset(%s::json) as given
  (id uuid, outcome text, incident_id uuid, run_id uuid, signature text)
"""
_BROKE = """
update events_pendingevent
set attempts = greatest(attempts, %(alone)s),
    poisoned_at = case when attempts >= %(tries)s then awf_now() end
where tenant_id = %(tenant)s and id = %(id)s and lease_token = %(token)s and poisoned_at is null
returning poisoned_at is not null
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
        if claims[0].attempts > TRIES:  # alone, three times, and nobody lived to tell
            _broke(tenant_id, claims[0])
        else:
            _try(tenant_id, claims)
    return sum(map(len, claimed.values()))


def _claim(limit: int) -> dict[UUID, list[Claim]]:
    claimed: dict[UUID, list[Claim]] = defaultdict(list)
    asked: dict[str, Any] = {"limit": limit, "shared": list(SHARED), "tries": TRIES}
    with scoping.pipeline(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, asked)
        for tenant_id, event_id, token, attempts in cursor.fetchall():
            claimed[tenant_id].append(Claim(event_id, token, attempts))
    failpoint("group.after_claim")
    return claimed


def _try(tenant_id: UUID, claims: Sequence[Claim]) -> None:
    """Digest them; halves, when one of them breaks it."""
    try:
        with metrics.timed(metrics.DETECTION_SECONDS):
            _digest_claims(tenant_id, claims)
    except Exception:
        logger.exception("digest of %s events failed", len(claims))
        if len(claims) == 1:
            return _broke(tenant_id, claims[0])
        middle = len(claims) // 2
        _try(tenant_id, claims[:middle])
        _try(tenant_id, claims[middle:])


def _broke(tenant_id: UUID, claim: Claim) -> None:
    """From now on it is tried alone; after three such tries not at all."""
    asked: dict[str, Any] = {
        "tenant": tenant_id,
        "id": claim.id,
        "token": claim.token,
        "alone": ALONE,
        "tries": TRIES,
    }
    with scoping.bound(tenant_id) as now, connection.cursor() as cursor:
        cursor.execute(_BROKE, asked)
        row = cursor.fetchone()
        if row and row[0]:
            pending = PendingEvent.objects.for_tenant(tenant_id).get(pk=claim.id)
            journal.record(pending, "poisoned", by=SYSTEM, at=now, tries=pending.attempts)


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
        _plan_anew()
        events = _take(tenant_id, claims)
        if events:
            with correlation.correlated(events[0].correlation_id):
                _write(tenant_id, _read(tenant_id, events), now=now)
        failpoint("group.before_commit")


def _plan_anew() -> None:
    """Forget how this connection checks foreign keys.

    Postgres plans a check once a connection. On a table that is nearly empty any index of the tenant seems as good
    as the one of the key; a minute later, with ten thousand runs, each check reads them all, and until the
    table is first analysed nothing makes it think again.
    """
    with connection.cursor() as cursor:
        cursor.execute("discard plans")


def _take(tenant_id: UUID, claims: Sequence[Claim]) -> list[Event]:
    """Those that are still ours, in order of arrival; each workflow is loaded once, not once an event."""
    asked = {
        "tenant": tenant_id,
        "ids": [claim.id for claim in claims],
        "tokens": [claim.token for claim in claims],
    }
    events: list[Event] = list(Event.objects.for_tenant(tenant_id).raw(_TAKE, asked))
    workflows = Workflow.objects.for_tenant(tenant_id).in_bulk({e.workflow_id for e in events})
    for event in events:
        event.workflow = workflows[event.workflow_id]
    return events


def _read(tenant_id: UUID, events: Sequence[Event]) -> list[Reading]:
    """What the events say, in order of arrival, with the tenant's own rules and merges."""
    matchers = outcome_rules.matchers(tenant_id)
    readings = [reading.read(event, matchers) for event in events]
    return aliases.follow(tenant_id, learning.sign(tenant_id, readings))


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
    touched = runs.incidents_behind(tenant_id, readings)
    if hashes:
        touched |= set(grouping.latest(tenant_id, hashes).values_list("pk", flat=True))
    if failing:
        new = storms.newcomers(tenant_id, {vendors[name].pk for name in failing}, now=now)
        touched |= set(new.values_list("pk", flat=True))
    held = Incident.objects.for_tenant(tenant_id).filter(pk__in=touched)
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
            {
                "id": said.event.id,
                "outcome": said.outcome.value,
                "incident_id": incident.pk if incident else None,
                "run_id": run.pk if run else None,
                "signature": said.signature.hash if said.signature else "",
            }
        )
    with connection.cursor() as cursor:
        cursor.execute(_LINK, [tenant_id, json.dumps(links, default=str)])


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
