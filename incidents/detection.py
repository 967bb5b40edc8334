"""The digest: claims undigested events and turns them into incidents, runs and breaker evidence, exactly once.

1. Claim (a transaction of the pipeline role): lease rows of the inbox and count the try before it is made.
2. Digest (a transaction of the tenant): take the leased rows out of the inbox and write everything they mean.
A crash between the two loses nothing: the lease lapses and the rows are claimed again, in smaller groups each time,
until what kills its worker is alone. A batch that raises is halved at once. An event that broke three tries alone,
by raising or by killing, is set aside, visible, and stops nobody (`inbox`).
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from django.db import OperationalError, connection
from psycopg.errors import DeadlockDetected, LockNotAvailable

from awfdrs_site.lib import correlation, metrics
from awfdrs_site.lib.failpoints import failpoint
from events.models import Event
from incidents import (
    aliases,
    grouping,
    hours,
    inbox,
    judging,
    learning,
    lifecycle,
    outcome_rules,
    reading,
    runs,
    storms,
    turns,
)
from incidents.analysis.outcome import Outcome
from incidents.inbox import Claim
from incidents.models import Incident
from incidents.reading import Reading
from incidents.states import OPEN
from safety import breaker, budget
from safety.breaker_step import Outcome as BreakerOutcome
from tenants import journal, scoping
from tenants.journal import SYSTEM
from tenants.models import Vendor

logger = logging.getLogger(__name__)

BATCH = 1000
DEADLOCK_TRIES = 3
VENDOR_LIMIT = 1000  # self-registered vendors per tenant; further names count as this one
OTHER_VENDOR = "other"

_LINK = """
insert into incidents_eventlink (id, tenant_id, outcome, incident_id, run_id, signature)
select id, %s, outcome, incident_id, run_id, signature
from json_to_recordset(%s::json) as given
  (id uuid, outcome text, incident_id uuid, run_id uuid, signature text)
"""


def digest(*, limit: int = BATCH) -> int:
    """Digest up to `limit` events, whatever tenant they are of; returns how many it claimed."""
    claimed = inbox.claim(limit)
    for tenant_id, claims in claimed.items():
        if claims[0].attempts > inbox.TRIES:  # alone, three times, and nobody lived to tell
            inbox.broke(tenant_id, claims[0])
        else:
            _try(tenant_id, claims)
    return sum(map(len, claimed.values()))


def _try(tenant_id: UUID, claims: Sequence[Claim]) -> None:
    """Digest them; halves, when one of them breaks it."""
    try:
        with metrics.timed(metrics.DETECTION_SECONDS):
            _digest_claims(tenant_id, claims)
    except Exception as failure:
        logger.exception("digest of %s events failed", len(claims))
        if isinstance(failure.__cause__, LockNotAvailable):
            return  # somebody holds rows of the tenant for long: when the lease is over they are tried again
        if len(claims) == 1:
            return inbox.broke(tenant_id, claims[0])
        middle = len(claims) // 2
        _try(tenant_id, claims[:middle])
        _try(tenant_id, claims[middle:])


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
        events = inbox.take(tenant_id, claims)
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
    _tell_safety(tenant_id, readings, incidents, vendors, touched, now=now)
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
        cursor.execute(_LINK, [tenant_id, msgspec.json.encode(links).decode()])


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


def _tell_safety(
    tenant_id: UUID,
    readings: Sequence[Reading],
    incidents: Mapping[str, Incident],
    vendors: Mapping[str, Vendor],
    touched: runs.Touched,
    *,
    now: datetime,
) -> None:
    """What the events say of their vendors, in order of arrival; breakers are locked by vendor id.

    A call that no retry of ours made is an original one: the retry budget is a share of those.
    """
    observed: dict[UUID, list[BreakerOutcome]] = defaultdict(list)
    originals: Counter[UUID] = Counter()
    by_id = {vendor.pk: vendor for vendor in vendors.values()}
    categories = judging.own_categories(tenant_id, readings, incidents)
    for said in readings:
        vendor = vendors.get(said.event.vendor_name)
        if vendor is None or (outcome := says_of_vendor(said, categories)) is None:
            continue
        observed[vendor.pk].append(outcome)
        run = touched.runs.get(said.run_key) if said.run_key else None
        originals[vendor.pk] += run is None or run.attempted_at is None
    for vendor_id in sorted(observed):
        breaker.record(
            by_id[vendor_id], observed[vendor_id], now=now, cause="failures reported by workflows"
        )
        if originals[vendor_id]:
            budget.hear(by_id[vendor_id], originals[vendor_id], now=now)


def says_of_vendor(said: Reading, categories: Mapping[str, str]) -> BreakerOutcome | None:
    """`categories`: of each failure's own signature."""
    if said.outcome is Outcome.SUCCESS:
        return "success"
    if said.signature is None:
        return None
    counts = categories[said.signature.hash] in breaker.COUNTED_CATEGORIES
    return "failure" if counts else "ignored"
