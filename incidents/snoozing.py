"""The only place that lets incidents sleep, and wakes them: at a time, or before it by what happens.

A snooze always ends: what waits for something to happen waits 30 days at most.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from awfdrs_site.lib import sweeping
from incidents import keeping
from incidents.lifecycle import TransitionRefused
from incidents.models import Incident, IncidentHour, Run
from incidents.states import OPEN, Severity
from tenants import scoping
from tenants.journal import SYSTEM, Actor

LONGEST = timedelta(days=90)
AT_MOST = timedelta(days=30)  # of a snooze that waits for something to happen
MOST_EVENTS = 1_000_000
SWEEP = 200
HOUR: Final = timedelta(hours=1)

# Candidates only: `_why` judges the locked row. Hours are by when events happened, so that the rate of the last
# hour is what happened in this one and the part of the hour before that is not yet an hour ago.
_DUE = """
with clock as materialized (select awf_now() as now)
select incident.tenant_id, incident.id from incidents_incident incident, clock
where incident.snoozed_until is not null and (
  incident.snoozed_until <= clock.now
  or incident.snooze->>'kind' = 'count'
    and incident.event_count >= (incident.snooze->>'events')::bigint + (incident.snooze->>'value')::bigint
  or incident.snooze->>'kind' = 'severity'
    and array_position(%(severities)s::text[], incident.severity::text)
      >= array_position(%(severities)s::text[], incident.snooze->>'value')
  or incident.snooze->>'kind' = 'rate_per_hour'
    and incident.event_count >= (incident.snooze->>'events')::bigint + (incident.snooze->>'value')::bigint
    and (select sum(n_events) from incidents_incidenthour lately
      where lately.tenant_id = incident.tenant_id and lately.incident_id = incident.id
        and lately.hour > clock.now - interval '2 hours') >= (incident.snooze->>'value')::bigint
  or incident.snooze->>'kind' = 'on_success' and exists (
    select from incidents_affectedrun line
    join incidents_run run on run.tenant_id = line.tenant_id and run.id = line.run_id
    where line.tenant_id = incident.tenant_id and line.incident_id = incident.id
      and run.succeeded_at > (incident.snooze->>'at')::timestamptz))
order by incident.snoozed_until, incident.id limit %(limit)s
"""


class SnoozeRefused(Exception):
    """What would end it has happened already, or is too far away (-> 422); `field` is to blame."""

    def __init__(self, field: str, why: str) -> None:
        self.field = field
        super().__init__(why)


@dataclass(frozen=True)
class Terms:
    """What ends a snooze. `kind` is until | count | rate_per_hour | severity | on_success."""

    kind: str
    value: Any

    @property
    def words(self) -> str:
        if self.kind == "until":
            return f"until {self.value.astimezone(UTC):%d %b %H:%M} UTC"
        return {
            "count": f"until {self.value} more {'event' if self.value == 1 else 'events'}",
            "rate_per_hour": f"until {self.value} events in an hour",
            "severity": f"until it is {self.value}",
            "on_success": "until one of its runs succeeds",
        }[self.kind]


def snooze(
    incident: Incident, terms: Terms, *, by: Actor, now: datetime, note: str = ""
) -> Incident:
    """Let it sleep; another snooze takes its place. Raises TransitionRefused of a closed one, SnoozeRefused."""
    incident = keeping.locked(incident)
    if incident.status not in OPEN:
        why = f"{incident} is {incident.status}: nobody is asked about it."
        raise TransitionRefused(current=incident.status, asked="snoozed", why=why)
    _refuse(incident, terms, now=now)
    until = terms.value if terms.kind == "until" else now + AT_MOST
    if terms.kind == "until" and until == incident.snoozed_until and _kind(incident) == "until":
        return incident
    incident.snoozed_until = until
    incident.snooze = {
        "kind": terms.kind,
        "value": until.isoformat() if terms.kind == "until" else terms.value,
        "events": incident.event_count,
        "at": now.isoformat(),
        "by": by.label,
    }
    return keeping.save(incident, "snoozed", by=by, now=now, detail=terms.words, note=note)


def wake(incident: Incident, *, by: Actor, now: datetime, reason: str = "") -> Incident:
    """Ask people about it again. Quiet when it does not sleep."""
    incident = keeping.locked(incident)
    if incident.snoozed_until is None:
        return incident
    incident.snoozed_until = incident.snooze = None
    return keeping.save(incident, "woken", by=by, now=now, reason=reason)


def terms_of(incident: Incident) -> Terms | None:
    """What ends the snooze it is in."""
    if incident.snoozed_until is None:
        return None
    if _kind(incident) == "until":
        return Terms("until", incident.snoozed_until)
    kept = _kept(incident)
    return Terms(kept["kind"], kept["value"])


def wake_due(*, limit: int = SWEEP) -> int:
    """The sweep: wake those whose time has come or for which it has happened; returns how many."""
    woken: list[UUID] = []
    found = scoping.found(_DUE, {"severities": Severity.values, "limit": limit})
    sweeping.each(found, lambda tenant_id, pk: woken.extend(_wake_if_due(tenant_id, pk)))
    return len(woken)


def _wake_if_due(tenant_id: UUID, incident_id: UUID) -> list[UUID]:
    with scoping.bound(tenant_id, durable=True) as now:
        incident = keeping.locked(Incident.objects.for_tenant(tenant_id).get(pk=incident_id))
        why = _why(incident, now=now)
        if why:
            wake(incident, by=SYSTEM, now=now, reason=why)
    return [incident_id] if why else []


def _why(incident: Incident, *, now: datetime) -> str:
    """What has happened that ends its snooze; empty while nothing has."""
    terms, until = terms_of(incident), incident.snoozed_until
    if terms is None or until is None:
        return ""
    judges: dict[str, Callable[[Incident, Any, datetime], str]] = {
        "count": _enough_events,
        "rate_per_hour": _fails_often,
        "severity": _is_severe,
        "on_success": _has_succeeded,
    }
    judge = judges.get(terms.kind)
    happened = judge(incident, terms.value, now) if judge else ""
    if happened or now < until:
        return happened
    return "The time is over." if terms.kind == "until" else "30 days are over."


def _enough_events(incident: Incident, n: int, _now: datetime) -> str:
    since = incident.event_count - _kept(incident)["events"]
    return f"{since:,} more {'event' if since == 1 else 'events'}." if since >= n else ""


def _fails_often(incident: Incident, n: int, now: datetime) -> str:
    since = incident.event_count - _kept(incident)["events"]
    rate = min(since, _last_hour(incident, now))
    return f"{rate:,} events in the last hour." if rate >= n else ""


def _last_hour(incident: Incident, now: datetime) -> int:
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    mine = IncidentHour.objects.for_tenant(incident.tenant_id).filter(incident=incident)
    hours = dict(mine.filter(hour__gte=this_hour - HOUR).values_list("hour", "n_events"))
    share = 1 - (now - this_hour) / HOUR
    return int(hours.get(this_hour, 0) + hours.get(this_hour - HOUR, 0) * share)


def _is_severe(incident: Incident, asked: str, _now: datetime) -> str:
    ranks = Severity.values
    is_due = ranks.index(incident.severity) >= ranks.index(asked)
    return f"It is {incident.severity} now." if is_due else ""


def _has_succeeded(incident: Incident, _asked: Any, _now: datetime) -> str:
    since = datetime.fromisoformat(_kept(incident)["at"])
    hurt = Run.objects.for_tenant(incident.tenant_id).of_incident(incident.pk)
    run = hurt.filter(succeeded_at__gt=since).order_by("succeeded_at", "id").first()
    return f"Run {run} has succeeded." if run else ""


def _refuse(incident: Incident, terms: Terms, *, now: datetime) -> None:
    if terms.kind == "until":
        if terms.value <= now:
            raise SnoozeRefused("until", "This is in the past.")
        if terms.value > now + LONGEST:
            raise SnoozeRefused("until", "At most 90 days: a snooze ends.")
    if terms.kind == "severity" and _is_severe(incident, terms.value, now):
        raise SnoozeRefused("severity", f"It is {incident.severity} already.")


def _kind(incident: Incident) -> str:
    return str(_kept(incident).get("kind", "until"))


def _kept(incident: Incident) -> Mapping[str, Any]:
    kept: Mapping[str, Any] = incident.snooze or {}
    return kept
