"""The only place that counts what kill switches hold and would hold, and what becomes of it when they are lifted."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Case, Count, F, Q, Value, When

from actions.models import Action
from actions.states import ActionType, ApprovalStatus, CampaignStatus, Status
from incidents.states import UNRECOVERED
from incidents.states import Status as IncidentStatus
from safety.killswitch import TELLING, Held
from safety.previews import Above, LiftPreview, StopPreview
from safety.states import SwitchScope

WORKFLOWS_SHOWN = 10  # the most of a preview, those with most actions
FATES = ("would_run", "superseded", "expired", "still_held")
_NO_WORKFLOW = "no workflow"

# Its run needs no retry any more (gate still_needed says the same of one).
SUPERSEDED = Q(action_type=ActionType.RETRY) & (
    ~Q(run__state__in=UNRECOVERED)
    | Q(incident__status=IncidentStatus.IGNORED)
    | Q(run__incident__status=IncidentStatus.IGNORED)
)
# What allowed it was voided, or never reached so far, or it has no attempt left: it does not start by itself.
EXPIRED = Q(approval__isnull=False) & (
    ~Q(approval__status=ApprovalStatus.APPROVED) | Q(pk__gt=F("approval__until_id"))
) | Q(action_type=ActionType.RETRY, attempts_made__gte=F("attempts_max"))


def held(tenant_id: UUID) -> Any:
    """What is parked by switches: a paused campaign holds its own, and resuming it lets that go."""
    mine = Action.objects.for_tenant(tenant_id).filter(status=Status.PARKED)
    return mine.filter(Q(campaign=None) | ~Q(campaign__status=CampaignStatus.PAUSED))


def under(scope: str, target: str) -> Q:
    """What a switch of this scope holds."""
    if scope == SwitchScope.ACTION_TYPE:
        return Q(action_type=target)
    wide = ~Q(action_type__in=TELLING)
    if scope == SwitchScope.WORKFLOW:
        return wide & Q(workflow_id=target)
    return wide & Q(vendor_id=target) if scope == SwitchScope.VENDOR else wide


def counts(tenant_id: UUID, switches: Sequence[Held]) -> Mapping[UUID, int]:
    """How much each of the switches holds: one query, none where there is no switch."""
    if not switches:
        return {}
    each = {f"of_{n}": Count("pk", filter=_of(one)) for n, one in enumerate(switches)}
    found = held(tenant_id).aggregate(**each)
    return {one.id: found[f"of_{n}"] for n, one in enumerate(switches)}


def lifts(tenant_id: UUID, switches: Sequence[Held]) -> Mapping[UUID, LiftPreview]:
    """What is held by each, and what a lift of it alone would do: one query for all of them."""
    if not switches:
        return {}
    fates = {
        f"fate_{n}": _fate(other for other in switches if other is not one)
        for n, one in enumerate(switches)
    }
    asked = {
        f"{fate}_{n}": Count("pk", filter=_of(one) & Q(**{f"fate_{n}": fate}))
        for n, one in enumerate(switches)
        for fate in FATES
    }
    found = held(tenant_id).alias(**fates).aggregate(**asked)
    previews = {}
    for n, one in enumerate(switches):
        n_of = {fate: found[f"{fate}_{n}"] for fate in FATES}
        previews[one.id] = LiftPreview(held=sum(n_of.values()), **n_of)
    return previews


def stop(tenant_id: UUID, scope: str, target: str) -> StopPreview:
    """What a switch would hold from now on, whenever it is due."""
    mine = Action.objects.for_tenant(tenant_id).filter(under(scope, target))
    waiting = mine.filter(status__in=(Status.PENDING, Status.PARKED, Status.AWAITING_APPROVAL))
    by_type = _grouped(waiting, "action_type")
    return StopPreview(
        would_hold=sum(by_type.values()),
        under_way=mine.filter(status=Status.IN_PROGRESS).count(),
        by_type=by_type,
        by_workflow=_grouped(waiting, "workflow__slug"),
    )


ABOVE = Above(stop=stop, lifts=lifts)


def _of(switch: Held) -> Q:
    return under(switch.scope, switch.target)


def _fate(others: Iterable[Held]) -> Case:
    """The first that fits: a condition over something that is not there fits nowhere."""
    elsewhere = Q(pk__in=[])
    for other in others:
        elsewhere |= _of(other)
    return Case(
        When(elsewhere, then=Value("still_held")),
        When(SUPERSEDED, then=Value("superseded")),
        When(EXPIRED, then=Value("expired")),
        default=Value("would_run"),
    )


def _grouped(actions: Any, name: str) -> dict[str, int]:
    rows = actions.order_by().values(name).annotate(n=Count("pk")).order_by("-n", name)
    return {row[name] or _NO_WORKFLOW: row["n"] for row in rows[:WORKFLOWS_SHOWN]}
