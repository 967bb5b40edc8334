"""The only place that gathers what the pages of actions show; `presentation` then words it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.urls import reverse

from actions import presentation
from actions.forms import ActionFilterForm
from actions.models import Action
from actions.presentation import ActionLine
from actions.querysets import ActionQuerySet
from actions.states import Status
from incidents import console
from incidents.models import Incident
from incidents.presentation import timeline
from incidents.presentation.figures import Numbered
from incidents.presentation.shapes import Day, Tab
from tenants.models import JournalEntry

PAGE_SIZE = 50
COUNTED_OF_TAB = 1000
LINES_SHOWN = 100
IN_TAB: dict[str, tuple[str, ...]] = {
    "queue": (Status.PENDING,),
    "running": (Status.IN_PROGRESS,),
    "waiting": (Status.AWAITING_APPROVAL, Status.PARKED),
    "unknown": (Status.UNKNOWN,),
    "failed": (Status.FAILED,),
}
LABELS = {
    "queue": "Queue",
    "running": "Running",
    "waiting": "Waiting",
    "unknown": "Unknown",
    "failed": "Failed",
    "all": "All",
}
# The next one first where something is going to happen, the latest first where it has.
ORDERS = {"queue": ("run_at", "id"), "running": ("started_at", "id")}


@dataclass(frozen=True)
class ActionPage(Numbered):
    lines: tuple[ActionLine, ...]
    tab: str


@dataclass(frozen=True)
class ActionDetail:
    line: ActionLine
    action: Action
    days: tuple[Day, ...]
    has_more: bool


def tabs(tenant_id: UUID, current: str) -> tuple[Tab, ...]:
    """Every view with how many wait there, counted to a thousand each."""
    mine = Action.objects.for_tenant(tenant_id)
    counts = {
        tab: console.up_to(mine.filter(status__in=states), most=COUNTED_OF_TAB)
        for tab, states in IN_TAB.items()
    }
    return tuple(
        Tab(tab, label, f"{reverse('actions:list')}?tab={tab}", counts.get(tab), tab == current)
        for tab, label in LABELS.items()
    )


def page(tenant_id: UUID, filters: ActionFilterForm, number: int, *, may_act: bool) -> ActionPage:
    tab = filters.current_tab
    found = _matching(tenant_id, filters)
    n_matching = console.up_to(found)
    number = max(1, min(number, -(-n_matching.n // PAGE_SIZE)))
    start = (number - 1) * PAGE_SIZE
    shown = found.for_list().with_attempts()[start : start + PAGE_SIZE]
    return ActionPage(
        lines=tuple(presentation.line(one, is_open=False, may_act=may_act) for one in shown),
        tab=tab,
        number=number,
        n_matching=n_matching,
        has_next=start + PAGE_SIZE < n_matching.n,
    )


def detail(action: Action, *, now: datetime, may_act: bool) -> ActionDetail:
    mine = JournalEntry.objects.for_tenant(action.tenant_id)
    about = mine.filter(subject_type="action", subject_id=str(action.pk))
    lines = list(about.order_by("-at", "-id")[: LINES_SHOWN + 1])
    return ActionDetail(
        line=presentation.line(action, is_open=True, may_act=may_act),
        action=action,
        days=timeline.by_day([timeline.moment(one) for one in lines[:LINES_SHOWN]], now=now),
        has_more=len(lines) > LINES_SHOWN,
    )


def _matching(tenant_id: UUID, filters: ActionFilterForm) -> ActionQuerySet:
    asked, tab = filters.cleaned_data, filters.current_tab
    found: ActionQuerySet = Action.objects.for_tenant(tenant_id)
    if tab in IN_TAB:
        found = found.filter(status__in=IN_TAB[tab])
    if asked["action_type"]:
        found = found.filter(action_type=asked["action_type"])
    if asked["workflow"]:
        found = found.filter(workflow__slug=asked["workflow"])
    if asked["incident"]:
        numbered = Incident.objects.for_tenant(tenant_id).filter(number=asked["incident"])
        found = found.shown_on(numbered)
    return found.order_by(*ORDERS.get(tab, ("-id",)))
