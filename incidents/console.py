"""The only place that gathers what the incident list shows; `presentation` then words it."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Case, Count, IntegerField, Q, QuerySet, Value, When

from incidents import evidence, query_filters
from incidents.forms import TABS, FilterForm
from incidents.models import Decision, Incident
from incidents.presentation import chart, rows
from incidents.presentation.addresses import listed
from incidents.presentation.figures import UpTo
from incidents.presentation.rows import Surroundings
from incidents.presentation.shapes import Above, ListPage, Row, Tab
from incidents.query_filters import Asker, needs_attention, snoozed
from incidents.querysets import IncidentQuerySet
from incidents.states import OPEN, Severity
from safety import killswitch
from safety.killswitch import Held
from safety.models import CircuitBreaker
from safety.states import SwitchScope

PAGE_SIZE = 50
COUNTED = 10_000  # rows; beyond, a page says "10,000+" and the filters find what is sought
NOBODY = 0  # no user has this id
DEEP = 1000  # from here on a page is found by its ids first: what is skipped is not joined
LABELS = {
    "attention": "Needs attention",
    "mine": "Mine",
    "open": "All open",
    "snoozed": "Snoozed",
    "resolved": "Resolved",
}
OPEN_TABS = tuple(slug for slug in TABS if slug != "resolved")
_RANK = Case(
    *(When(severity=severity, then=Value(rank)) for rank, severity in enumerate(Severity.values)),
    output_field=IntegerField(),
)


@dataclass(frozen=True)
class Reader:
    """Who reads, when, and what the layer above adds."""

    tenant_id: UUID
    now: datetime
    above: Above
    user_id: int | None = None

    @cached_property
    def asker(self) -> Asker:
        waiting = self.above.waiting_for_people(self.tenant_id)
        return Asker(self.tenant_id, self.now, self.user_id, waiting)


def matching(reader: Reader, filters: FilterForm) -> IncidentQuerySet:
    """The incidents of the view, in its order. Raises QueryError."""
    found = query_filters.narrowed(
        view(reader, filters.current_tab), filters.text, asker=reader.asker
    )
    return in_order(found, filters.order)


def view(reader: Reader, tab: str) -> IncidentQuerySet:
    mine = Incident.objects.for_tenant(reader.tenant_id)
    return mine.closed() if tab == "resolved" else mine.open().filter(_among_open(reader, tab))


def _among_open(reader: Reader, tab: str) -> Q:
    wanted: dict[str, Callable[[], Q]] = {
        "attention": lambda: needs_attention(reader.asker),
        "mine": lambda: Q(assignee_id=reader.user_id or NOBODY),
        "open": Q,
        "snoozed": lambda: snoozed(reader.now),
    }
    return wanted[tab]()


def in_order(rows: IncidentQuerySet, word: str) -> IncidentQuerySet:
    """`-severity` is by weight; equal ones are seen last first."""
    if word == "-severity":
        return rows.order_by(_RANK.desc(), "-last_seen_at", "-id")
    return rows.order_by(word, "-id")


def page(reader: Reader, filters: FilterForm, number: int, *, counted: UpTo | None) -> ListPage:
    """One page of the view. `counted` is how many there are, where a tab says so already."""
    found = matching(reader, filters)
    shown = _cut(reader, found, number)
    if not shown and number > 1:  # beyond the end is the last page
        number = max(1, -(-found.order_by().count() // PAGE_SIZE))
        shown = _cut(reader, found, number)
    is_all = number == 1 and len(shown) <= PAGE_SIZE
    return ListPage(
        rows=rows_of(reader, shown[:PAGE_SIZE]),
        number=number,
        n_matching=counted or (UpTo(len(shown)) if is_all else up_to(found)),
        has_next=len(shown) > PAGE_SIZE,
    )


def up_to(rows: QuerySet[Any], *, most: int = COUNTED) -> UpTo:
    return _capped(rows.order_by()[: most + 1].count(), most=most)


def _capped(n: int, *, most: int) -> UpTo:
    return UpTo(min(n, most), is_more=n > most)


def tabs(counts: Mapping[str, UpTo], current: str) -> tuple[Tab, ...]:
    """The views with their counts; closed incidents are not counted, they only ever grow."""
    return tuple(
        Tab(
            slug=slug,
            label=LABELS[slug],
            url=listed(tab=slug),
            count=counts.get(slug),
            is_current=slug == current,
        )
        for slug in TABS
    )


def counts(reader: Reader, slugs: Collection[str] = OPEN_TABS) -> dict[str, UpTo]:
    """Of those views of open incidents, in one statement."""
    parts: list[str] = []
    given: list[Any] = []
    for slug in slugs:
        rows = view(reader, slug).order_by().values("pk")[: COUNTED + 1]
        try:
            statement, parameters = rows.query.sql_with_params()
        except EmptyResultSet:  # nobody's, says the condition itself
            parts.append("0")
            continue
        parts.append(f"(select count(*) from ({statement}) counted)")  # noqa: S608  # of the ORM
        given += parameters
    with connection.cursor() as cursor:
        cursor.execute("select " + ", ".join(parts), given)
        found = cursor.fetchone()
    return {slug: _capped(n, most=COUNTED) for slug, n in zip(slugs, found, strict=True)}


def assigned(reader: Reader) -> dict[int, UpTo]:
    """How many open incidents each person has that has any."""
    mine = view(reader, "open").filter(assignee__isnull=False).order_by()
    found = mine.values_list("assignee_id").annotate(Count("pk"))
    return {who: _capped(n, most=COUNTED) for who, n in found}


def rows_of(reader: Reader, incidents: Sequence[Incident]) -> tuple[Row, ...]:
    """Rows for the list: six statements, however many."""
    around = surroundings(reader, incidents)
    ids = [incident.pk for incident in incidents]
    hours = evidence.hours(reader.tenant_id, ids, n_hours=evidence.DAY_HOURS, now=reader.now)
    return tuple(
        rows.row(
            incident,
            around[incident.pk],
            chart=chart.chart(hours[incident.pk], n_hours=evidence.DAY_HOURS, now=reader.now),
        )
        for incident in incidents
    )


def surroundings(reader: Reader, incidents: Iterable[Incident]) -> dict[UUID, Surroundings]:
    """What the incidents' states depend on besides their rows: four queries, however many."""
    incidents = list(incidents)
    open_ids = [incident.pk for incident in incidents if incident.status in OPEN]
    outlooks = reader.above.outlooks(reader.tenant_id, open_ids)
    breakers = _breakers(reader, incidents)
    switches = killswitch.active(reader.tenant_id, now=reader.now) if open_ids else []
    choices = _choices(reader, open_ids)
    return {
        incident.pk: Surroundings(
            now=reader.now,
            outlook=outlooks.get(incident.pk),
            breaker=breakers.get(incident.vendor_id),
            held_by=next((held.reason for held in switches if _holds(held, incident)), ""),
            choice=choices.get(incident.pk, ""),
        )
        for incident in incidents
    }


def _cut(reader: Reader, found: IncidentQuerySet, number: int) -> list[Incident]:
    """The page's incidents and one more, if there is one."""
    start = (number - 1) * PAGE_SIZE
    page = slice(start, start + PAGE_SIZE + 1)
    if start < DEEP:
        return list(found.for_list()[page])
    ids = list(found.values_list("pk", flat=True)[page])
    by_id = Incident.objects.for_tenant(reader.tenant_id).for_list().in_bulk(ids)
    return [by_id[pk] for pk in ids if pk in by_id]


def _breakers(reader: Reader, incidents: Iterable[Incident]) -> dict[UUID | None, CircuitBreaker]:
    vendors = {incident.vendor_id for incident in incidents if incident.vendor_id}
    mine = CircuitBreaker.objects.for_tenant(reader.tenant_id)
    return {breaker.vendor_id: breaker for breaker in mine.filter(vendor_id__in=vendors)}


def _choices(reader: Reader, incident_ids: Sequence[UUID]) -> dict[UUID, str]:
    mine = Decision.objects.for_tenant(reader.tenant_id).filter(incident_id__in=incident_ids)
    latest = mine.order_by("incident_id", "-id").distinct("incident_id")
    return dict(latest.values_list("incident_id", "choice"))


def _holds(held: Held, incident: Incident) -> bool:
    """Whether the switch holds the incident's retries."""
    names = {
        "global": "",
        SwitchScope.TENANT: "",
        SwitchScope.WORKFLOW: str(incident.workflow_id),
        SwitchScope.VENDOR: str(incident.vendor_id),
        SwitchScope.ACTION_TYPE: "retry",
    }
    return names.get(held.scope) == held.target
