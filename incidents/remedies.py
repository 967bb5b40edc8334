"""The only place that says what was done about an earlier incident, and whether it worked."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count

from incidents.models import AffectedRun, Decision, Incident
from incidents.states import OPEN, UNRECOVERED, Choice, RunState, Status

_DONE = {
    Choice.RETRY: "Its runs were retried",
    Choice.ESCALATE: "People were called",
    Choice.OBSERVE: "It was watched",
}


@dataclass(frozen=True)
class Remedy:
    """`worked` is None while nobody can say."""

    done: str
    worked: bool | None
    detail: str  # in numbers, or in the words of whoever closed it


def of(tenant_id: UUID, incidents: Sequence[Incident]) -> dict[UUID, Remedy]:
    """Of each: two queries, however many they are."""
    ids = [incident.pk for incident in incidents]
    if not ids:
        return {}
    decisions = Decision.objects.for_tenant(tenant_id).filter(incident__in=ids)
    choices = dict(decisions.order_by("id").values_list("incident_id", "choice"))
    fates: defaultdict[UUID, Counter[str]] = defaultdict(Counter)
    lines = AffectedRun.objects.for_tenant(tenant_id).filter(incident__in=ids)
    counted = lines.order_by().values_list("incident_id", "run__state").annotate(n=Count("*"))
    for incident_id, state, n in counted:
        fates[incident_id][state] = n
    return {one.pk: _remedy(one, choices.get(one.pk, ""), fates[one.pk]) for one in incidents}


def _remedy(incident: Incident, choice: str, fates: Counter[str]) -> Remedy:
    done = _DONE[Choice(choice)] if choice in Choice.values else "Nothing was decided"
    is_open = incident.status in OPEN
    by_action, n = fates[RunState.RECOVERED_BY_ACTION], sum(fates.values())
    left = sum(fates[state] for state in UNRECOVERED) + fates[RunState.WAIVED]
    if incident.status == Status.IGNORED:
        return Remedy("It was ignored", None, incident.resolved_reason)
    if by_action:
        told = f"{by_action} of {n} run{'s' if n > 1 else ''} recovered by a retry"
        return Remedy(done, None if is_open else left == 0, told)
    if is_open:
        return Remedy(done, None, "still open")
    return Remedy(done, left == 0, incident.resolved_reason)
