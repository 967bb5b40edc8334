"""The only place that counts what became of runs that failed, and of their retries, by machine and by people."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Q

from actions.models import Action
from actions.states import ASKS_WORKFLOW, ActionType, Status, Verification
from awfdrs_site.lib.ids import last_of
from incidents.models import Run
from incidents.states import UNRECOVERED, RunState

SHOWN = 5
ALONE = (RunState.SUCCEEDED, RunState.RECOVERED_AUTO)


@dataclass(frozen=True)
class Recovered:
    """Of the runs that failed in a time: `alone` needed nobody, `helped` somebody, the rest is waived or left."""

    n_failed: int
    alone: int
    helped: int
    waived: int
    left: int

    @property
    def percent(self) -> int:
        """Rounded down: 100 is said when it is all of them."""
        return 100 * self.alone // self.n_failed if self.n_failed else 0


@dataclass(frozen=True)
class Retries:
    """Of one category's retries those that ended, by how."""

    category: str
    verified: int
    not_verified: int
    failed: int
    unknown: int

    @property
    def n(self) -> int:
        return self.verified + self.not_verified + self.failed + self.unknown

    @property
    def percent(self) -> int:
        return 100 * self.verified // self.n if self.n else 0


def since(tenant_id: UUID, start: datetime) -> Recovered:
    """Two queries, of the runs that failed last since then: people's calls are few, whatever the machine's are."""
    mine = Run.objects.for_tenant(tenant_id).filter(last_failed_at__gte=start)
    n_of = dict(mine.order_by().values_list("state").annotate(n=Count("*")))
    by_action = n_of.get(RunState.RECOVERED_BY_ACTION, 0)
    touched = _of_people(tenant_id, start).filter(
        run__state=RunState.RECOVERED_BY_ACTION, run__last_failed_at__gte=start
    )
    helped = touched.aggregate(n=Count("run", distinct=True))["n"] if by_action else 0
    return Recovered(
        n_failed=sum(n_of.values()),
        alone=sum(n_of.get(state, 0) for state in ALONE) + by_action - helped,
        helped=helped,
        waived=n_of.get(RunState.WAIVED, 0),
        left=sum(n_of.get(state, 0) for state in UNRECOVERED),
    )


def waiting_longest(tenant_id: UUID) -> Any:
    """Runs that nothing has recovered yet, since their first failure."""
    mine = Run.objects.for_tenant(tenant_id).unrecovered()
    ordered = mine.order_by("first_failed_at", "id")
    return ordered.select_related("workflow", "incident")[:SHOWN]


def slowest(tenant_id: UUID, start: datetime) -> Any:
    """Runs that recovered since `start`, whatever helped them, those that took longest first."""
    mine = Run.objects.for_tenant(tenant_id).filter(
        recovered_at__gte=start,
        first_failed_at__isnull=False,
        state__in=(*ALONE, RunState.RECOVERED_BY_ACTION),
    )
    took = F("recovered_at") - F("first_failed_at")
    ordered = mine.annotate(took=took).filter(took__gt=timedelta(0)).order_by("-took", "id")
    # found by their ids first: what is not shown is not joined
    ids = list(ordered.values_list("pk", flat=True)[:SHOWN])
    shown = Run.objects.for_tenant(tenant_id).select_related("workflow", "incident").in_bulk(ids)
    return [shown[pk] for pk in ids if pk in shown]


def retries(tenant_id: UUID, start: datetime) -> tuple[Retries, ...]:
    """By category, of the retries that were planned since; an id says when it was made."""
    mine = Action.objects.for_tenant(tenant_id).filter(
        id__gt=last_of(start), action_type=ActionType.RETRY, incident__isnull=False
    )
    rows = mine.order_by().values_list("incident__category")
    counted = rows.annotate(
        verified=Count("pk", filter=Q(verification=Verification.VERIFIED)),
        not_verified=Count("pk", filter=Q(verification=Verification.NOT_VERIFIED)),
        failed=Count("pk", filter=Q(status=Status.FAILED)),
        unknown=Count("pk", filter=Q(status=Status.UNKNOWN)),
    )
    found = [Retries(*row) for row in counted]
    return tuple(sorted((one for one in found if one.n), key=lambda one: (-one.n, one.category)))


def _of_people(tenant_id: UUID, start: datetime) -> Any:
    """Calls that somebody asked for, alone or by a campaign, or that somebody approved."""
    theirs = ~Q(requested_by_id="") | Q(approval__isnull=False) | Q(campaign__isnull=False)
    return Action.objects.for_tenant(tenant_id).filter(
        theirs, action_type__in=ASKS_WORKFLOW, id__gt=last_of(start)
    )
