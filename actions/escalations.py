"""The only writer of escalations: who is told of an incident, in which order, until somebody acknowledges.

It runs until the incident is over or acknowledged. After the last round it is `ended` and waits, without
`ended_at`, for the incident: whoever was told hears how it ended.
"""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth.models import User

from actions import escalation_plans, outbox
from actions.models import Action, Channel, Delivery, Escalation
from actions.states import DeliveryKind, EscalationStatus, Status
from awfdrs_site.lib import correlation, links, sweeping
from awfdrs_site.lib.failpoints import failpoint
from incidents import keeping, lifecycle, storms
from incidents.models import Incident
from incidents.states import CLOSED
from tenants import journal, scoping
from tenants.journal import SYSTEM

SWEEP = 100
TELLING = (DeliveryKind.TRIGGERED, DeliveryKind.TICKET_OPEN)
ROUND_LEAST = timedelta(minutes=1)  # a round that follows at once would be one message sent twice
SHELTERED_FOR = timedelta(minutes=5)  # then it is asked again whether the storm still tells for it

_DUE = """
select escalation.tenant_id, escalation.id
from actions_escalation escalation join incidents_incident incident
  on incident.tenant_id = escalation.tenant_id and incident.id = escalation.incident_id
where escalation.ended_at is null and (
  escalation.next_at <= awf_now()
  or (escalation.status = 'acknowledged') <> (incident.acknowledged_at is not null)
  or incident.status in ('resolved', 'ignored')
  or incident.opened_at > escalation.started_at)
order by escalation.next_at, escalation.id limit %s
"""


def begin(action: Action, *, now: datetime) -> Escalation:
    """Keep the policy that applies now and tell its first step. Beginning twice tells once."""
    assert action.incident_id is not None, "an escalation is of an incident"
    mine = Incident.objects.for_tenant(action.tenant_id)
    # Two workers may begin one action: the incident's lock lets the second one see the first one's row.
    incident = keeping.locked(mine.get(pk=action.incident_id))
    begun: Escalation | None = (
        Escalation.objects.for_tenant(action.tenant_id).filter(action=action).first()
    )
    if begun is not None:
        return begun
    escalation = _planned(action, incident, now=now)
    if incident.acknowledged_at is not None and incident.acknowledged_at < action.created_at:
        # What was acknowledged was less than what is said now, and nobody could acknowledge this one.
        reason = "Escalated since it was acknowledged."
        incident = lifecycle.end_acknowledgement(incident, by=SYSTEM, now=now, reason=reason)
    _advance(escalation, incident, now=now)
    return escalation


def advance_due(*, limit: int = SWEEP) -> int:
    """The sweep: whatever waits for its next step, or whose incident was acknowledged or is over."""
    due = scoping.found(_DUE, [limit])
    return sweeping.each(due, _advance_one)


def stop(action: Action, *, now: datetime) -> None:
    """It was taken back: nobody else is told. Whoever was told hears how the incident ends."""
    mine = Escalation.objects.for_tenant(action.tenant_id).filter(action=action, ended_at=None)
    for escalation in mine.select_for_update():
        escalation.status, escalation.next_at = EscalationStatus.ENDED, None
        _save(escalation)
    outbox.call_off(action, reason="The escalation was taken back.")


def whom_it_told(escalation: Escalation, *kinds: DeliveryKind) -> list[Channel | User]:
    """Everybody who was told of it, once each; trackers only where their kind is asked for."""
    told = Delivery.objects.for_tenant(escalation.tenant_id).filter(
        action_id=escalation.action_id, kind__in=kinds or (DeliveryKind.TRIGGERED,)
    )
    rows = told.select_related("channel", "user").order_by("id")
    return list(dict.fromkeys(_target_of(row) for row in rows))


def said(escalation: Escalation) -> str:
    """Whom it told so far, in one sentence for the log of the attempt."""
    whom = escalation_plans.names(whom_it_told(escalation, *TELLING))
    policy = f"policy {escalation.policy_name}" if escalation.policy_name else "no policy"
    return f"Told {whom} ({policy})." if whom else f"Nobody was told ({policy})."


def _planned(action: Action, incident: Incident, *, now: datetime) -> Escalation:
    plan = escalation_plans.plan_for(incident)
    escalation = Escalation(
        tenant_id=action.tenant_id,
        action=action,
        incident=incident,
        policy_name=plan.name,
        steps=[asdict(step) for step in plan.steps],
        repeats=plan.repeats,
        acknowledge_minutes=plan.acknowledge_minutes,
        reason=str(action.parameters.get("reason", "")),
        started_at=now,
        next_at=now,
    )
    escalation.save(force_insert=True)
    return escalation


def _advance_one(tenant_id: UUID, escalation_id: UUID) -> None:
    with scoping.bound(tenant_id, durable=True) as now:
        mine = Escalation.objects.for_tenant(tenant_id).filter(pk=escalation_id, ended_at=None)
        # Another worker that holds it does what is due; this one leaves.
        held = mine.select_for_update(of=("self",), skip_locked=True)
        escalation = held.select_related("action", "incident").first()
        if escalation is None:
            return
        with correlation.correlated(escalation.action.correlation_id):
            _advance(escalation, keeping.locked(escalation.incident), now=now)
        failpoint("escalation.before_commit")


def _advance(escalation: Escalation, incident: Incident, *, now: datetime) -> None:
    """`escalation` and `incident` are locked rows."""
    is_due = escalation.next_at is not None and escalation.next_at <= now
    was_acknowledged = escalation.status == EscalationStatus.ACKNOWLEDGED
    if incident.status in CLOSED or incident.opened_at > escalation.started_at:
        _end(escalation, incident, now=now)
    elif incident.acknowledged_at is not None and not was_acknowledged:
        _acknowledged(escalation, incident, now=now)
    elif was_acknowledged and (is_due or incident.acknowledged_at is None):
        _resume(escalation, incident, now=now)
    elif is_due:
        _take_step(escalation, incident, now=now)


def _take_step(escalation: Escalation, incident: Incident, *, now: datetime) -> None:
    if storms.shelter_of(incident) is not None:
        escalation.next_at = now + SHELTERED_FOR  # people are told once, by the storm
        return _save(escalation)
    step = escalation.steps[escalation.step]
    targets = escalation_plans.targets_of(step, tenant_id=escalation.tenant_id)
    whom = step["name"]
    if not targets:
        # A step into the void would be silence: then everybody hears it.
        targets = escalation_plans.everybody(tenant_id=escalation.tenant_id)
        whom = f"{escalation_plans.EVERYBODY}, since {whom} is not there any more"
    place = f"{escalation.round}:{escalation.step}"
    text = _text(escalation, incident, now=now)
    for target in targets:
        _tell(escalation, incident, target, DeliveryKind.TRIGGERED, place, text, now=now)
    said = (
        f"Step {escalation.step + 1} of {len(escalation.steps)}, round {escalation.round + 1} of "
    )
    said += f"{escalation.repeats + 1}: {whom} ({escalation_plans.names(targets) or 'nobody'})."
    journal.record(incident, "people_told", by=SYSTEM, at=now, reason=said)
    _move_on(escalation, now=now)


def _move_on(escalation: Escalation, *, now: datetime) -> None:
    """To the next step, the next round, or to waiting for the incident's end."""
    least = timedelta()
    escalation.step += 1
    if escalation.step >= len(escalation.steps):
        escalation.step, escalation.round, least = 0, escalation.round + 1, ROUND_LEAST
    if escalation.round > escalation.repeats:
        escalation.status, escalation.next_at = EscalationStatus.ENDED, None
    else:
        wait = timedelta(minutes=escalation.steps[escalation.step]["wait_minutes"])
        escalation.next_at = now + max(wait, least)
    _save(escalation)


def _acknowledged(escalation: Escalation, incident: Incident, *, now: datetime) -> None:
    """Somebody looks at it: nobody else is told, until the acknowledgement has lasted its time."""
    at, minutes = incident.acknowledged_at, escalation.acknowledge_minutes
    assert at is not None
    lasts_for_ever = minutes is None or _is_taken_back(escalation)
    escalation.status, escalation.acknowledged_at = EscalationStatus.ACKNOWLEDGED, at
    escalation.next_at = None if lasts_for_ever else at + timedelta(minutes=minutes or 0)
    text = f"{incident.acknowledged_by} has acknowledged {incident}. Nobody else is told for now."
    for target in whom_it_told(escalation):
        if isinstance(target, Channel):  # a pager falls silent; people need no mail about it
            kind, place = DeliveryKind.ACKNOWLEDGED, f"acknowledged:{at.isoformat()}"
            _tell(escalation, incident, target, kind, place, text, now=now)
    _save(escalation)


def _resume(escalation: Escalation, incident: Incident, *, now: datetime) -> None:
    """An acknowledgement that lasted its time, or was taken back: the steps go on where they stopped."""
    if _is_taken_back(escalation):
        escalation.status, escalation.next_at = EscalationStatus.ENDED, None
        return _save(escalation)
    reason = f"{escalation.acknowledge_minutes} minutes are over and it is still open."
    incident = lifecycle.end_acknowledgement(incident, by=SYSTEM, now=now, reason=reason)
    escalation.status, escalation.acknowledged_at = EscalationStatus.RUNNING, None
    # Every round was told before: one more, or nobody would hear that it was forgotten.
    escalation.repeats = max(escalation.repeats, escalation.round)
    _take_step(escalation, incident, now=now)


def _is_taken_back(escalation: Escalation) -> bool:
    return bool(escalation.action.status == Status.REVERSED)


def _end(escalation: Escalation, incident: Incident, *, now: datetime) -> None:
    """Whoever was told of it hears that it is over; one that was opened anew is escalated anew."""
    said = [f"{incident} is {incident.status}.", incident.resolved_reason, _link(incident)]
    text = "\n\n".join(filter(None, said)) + "\n"
    for target in whom_it_told(escalation) if incident.status in CLOSED else ():
        if target.is_active:
            _tell(escalation, incident, target, DeliveryKind.RESOLVED, "ended", text, now=now)
    escalation.status, escalation.ended_at = EscalationStatus.ENDED, now
    escalation.next_at = None
    _save(escalation)


def _tell(
    escalation: Escalation,
    incident: Incident,
    target: Channel | User,
    kind: DeliveryKind,
    place: str,
    text: str,
    *,
    now: datetime,
) -> None:
    """`place` makes it once: two workers at one step write one row."""
    of = "channel" if isinstance(target, Channel) else "person"
    outbox.tell(
        tenant_id=escalation.tenant_id,
        kind=kind,
        target=target,
        subject=f"{incident} {incident.severity}: {incident.title}",
        text=text,
        dedupe_key=f"escalation:{escalation.pk}:{place}:{of}:{target.pk}",
        incident=incident,
        action=escalation.action,
        now=now,
    )


def _text(escalation: Escalation, incident: Incident, *, now: datetime) -> str:
    return "\n\n".join(part for part in _paragraphs(escalation, incident, now=now) if part) + "\n"


def _paragraphs(escalation: Escalation, incident: Incident, *, now: datetime) -> Iterator[str]:
    yield incident.title
    yield _told(escalation.reason)
    if not incident.is_storm:  # it has no counts of its own
        n_events, n_runs = incident.event_count, incident.unrecovered_runs
        yield f"{_counted(n_events, 'event')}, {_counted(n_runs, 'run')} not recovered."
    if now > escalation.started_at:
        minutes = (now - escalation.started_at) // timedelta(minutes=1)
        yield f"First told {_counted(minutes, 'minute')} ago, and still open."
    yield _link(incident)


def _told(reason: str) -> str:
    """As a sentence of its own, however its rule words it."""
    end = "" if reason.endswith((".", "!", "?")) or not reason else "."
    return f"{reason[:1].upper()}{reason[1:]}{end}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _link(incident: Incident) -> str:
    return f"Open it at {links.absolute(incident.get_absolute_url())}"


def _target_of(delivery: Delivery) -> Channel | User:
    target = delivery.channel or delivery.user
    assert isinstance(target, Channel | User), "a delivery has one or the other"
    return target


def _save(escalation: Escalation) -> None:
    escalation.version += 1
    escalation.save()
    journal.announce(escalation.action)
