"""The only place that tells incidents, which lie below, what is planned for them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import Case, Count, IntegerField, Q, Value, When

from actions.models import Action
from actions.states import ActionType, Status, Verification
from incidents.presentation.shapes import Above, Outlook

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
    """What happens next in each incident that has something planned: two queries."""
    ranked = _telling(tenant_id).filter(incident_id__in=incident_ids).annotate(rank=_RANK)
    first = ranked.order_by("incident_id", "rank", "run_at", "id").distinct("incident_id")
    counts = ranked.order_by().values("incident_id", "rank").annotate(n=Count("pk"))
    waiting = {(row["incident_id"], row["rank"]): row["n"] for row in counts}
    return {
        action.incident_id: _outlook(action, n_waiting=waiting[action.incident_id, action.rank])
        for action in first
    }


def waiting_for_people(tenant_id: UUID) -> Any:
    """The incidents with something to approve, as a subquery."""
    mine = Action.objects.for_tenant(tenant_id).filter(status=Status.AWAITING_APPROVAL)
    return mine.exclude(incident=None).values("incident_id")


ABOVE = Above(outlooks=outlooks, waiting_for_people=waiting_for_people)

_RANK = Case(
    *(When(condition, then=Value(rank)) for rank, (condition, _) in enumerate(ORDER)),
    output_field=IntegerField(),
)


def _telling(tenant_id: UUID) -> Any:
    some = Q(pk__in=[])
    for condition, _ in ORDER:
        some |= condition
    return Action.objects.for_tenant(tenant_id).filter(some, action_type=ActionType.RETRY)


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
