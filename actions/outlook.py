"""The only place that tells incidents, which lie below, what is planned for them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.db.models import Case, Count, Exists, F, IntegerField, OuterRef, Q, Value, When, Window
from django.db.models.functions import Coalesce

from actions.models import Action
from actions.states import UNSETTLED, ActionType, Status, Verification
from incidents import decisions
from incidents.models import Decision, Incident
from incidents.presentation.shapes import Above, Outlook
from incidents.states import Choice
from safety import gate

# A merged incident's actions are told by the one it was merged into.
_SHOWN_ON = Coalesce("incident__merged_into_id", "incident_id")
# What is said of an incident with many actions: the first of these that any of them is in.
ORDER = (
    (Q(status=Status.AWAITING_APPROVAL), "approval"),
    (Q(status=Status.UNKNOWN), "unknown"),
    (Q(status=Status.IN_PROGRESS), "calling"),
    (Q(status=Status.PENDING), "retrying"),
    (Q(status=Status.PARKED), "parked"),
    (Q(status=Status.COMPLETED, verification=Verification.PENDING), "verifying"),
)


def outlooks(tenant_id: UUID, incident_ids: Sequence[UUID]) -> dict[UUID, Outlook]:
    """What happens next in each incident that has something planned or held: two queries."""
    shown = Incident.objects.for_tenant(tenant_id).with_members(*incident_ids)
    ranked = telling(tenant_id).shown_on(shown).annotate(rank=RANK, on=_SHOWN_ON)
    alike = Window(Count("pk"), partition_by=[F("on"), F("rank")])
    first = ranked.annotate(n_alike=alike).order_by("on", "rank", "run_at", "id").distinct("on")
    found = {action.on: _outlook(action, n_waiting=action.n_alike) for action in first}
    for incident in _beyond_limit(tenant_id, incident_ids):
        found[incident.pk] = _held(incident, found.get(incident.pk))
    return found


def waiting_for_people(tenant_id: UUID) -> Any:
    """The incidents with something to approve, as a subquery that an index answers.

    A merged incident is among them beside the one that shows its actions; it is closed.
    """
    mine = Action.objects.for_tenant(tenant_id).filter(status=Status.AWAITING_APPROVAL)
    waiting = mine.exclude(incident=None).order_by().values("incident_id")
    members = Incident.objects.for_tenant(tenant_id).exclude(merged_into=None)
    targets = members.filter(pk__in=waiting).order_by().values("merged_into_id")
    return waiting.union(targets, all=True)


def has_open(tenant_id: UUID, incident_id: UUID) -> bool:
    """Whether anything planned for the incident may still happen, or waits for a person."""
    shown = Incident.objects.for_tenant(tenant_id).with_members(incident_id)
    mine = Action.objects.for_tenant(tenant_id).shown_on(shown)
    unverified = Q(status=Status.COMPLETED, verification=Verification.PENDING)
    return mine.filter(Q(status__in=UNSETTLED) | unverified).exists()


ABOVE = Above(outlooks=outlooks, waiting_for_people=waiting_for_people)

RANK = Case(
    *(When(condition, then=Value(rank)) for rank, (condition, _) in enumerate(ORDER)),
    output_field=IntegerField(),
)


def telling(tenant_id: UUID) -> Any:
    """The retries that an incident tells of, whatever else it has; an index holds just these."""
    some = Q(pk__in=[])
    for condition, _ in ORDER:
        some |= condition
    return Action.objects.for_tenant(tenant_id).filter(some, action_type=ActionType.RETRY)


def _beyond_limit(tenant_id: UUID, incident_ids: Sequence[UUID]) -> Iterable[Incident]:
    """Those with more hurt runs than are retried without a person (DESIGN.md rule 15)."""
    mine = Incident.objects.for_tenant(tenant_id).open().select_related("tenant")
    retried = Decision.objects.for_tenant(tenant_id).filter(choice=Choice.RETRY)
    return mine.filter(
        Exists(retried.filter(incident=OuterRef("pk"))),
        pk__in=incident_ids,
        unrecovered_runs__gt=F("tenant__storm_runs"),
    )


def _held(incident: Incident, planned: Outlook | None) -> Outlook:
    """The retries that are planned go on; when they are over, what is left waits for a person."""
    storm = decisions.storm_of(incident)
    held = gate.storm_gate(storm)
    if planned is None:
        planned = Outlook("storm", reason=held.detail, n_waiting=storm.hurt - storm.limit)
    return replace(planned, gates=tuple(gate.Verdict(held.effect, (held,)).as_json()))


def _outlook(action: Any, *, n_waiting: int) -> Outlook:
    kind = ORDER[action.rank][1]
    is_next = kind in {"retrying", "approval", "parked"}
    return Outlook(
        kind=kind,
        attempt=min(action.attempts_made + is_next, action.attempts_max),
        attempts_made=action.attempts_made,
        attempts_max=action.attempts_max,
        at=action.run_at if kind == "retrying" else None,
        reason=action.waiting_reason,
        n_waiting=n_waiting,
    )
