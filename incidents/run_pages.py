"""The only place that gathers what the run pages show; `presentation` then words it."""

from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

from django.db.models import QuerySet

from events.models import Event
from incidents import console
from incidents.console import Reader
from incidents.forms import RunFilterForm
from incidents.models import EventLink, Incident, Run
from incidents.presentation import details, runs, timeline
from incidents.presentation.run_shapes import RunDetail, RunPage
from incidents.presentation.shapes import Moment
from incidents.querysets import RunQuerySet
from incidents.states import UNRECOVERED, RunState
from tenants.models import JournalEntry

PAGE_SIZE = 50
EVENTS_SHOWN, LINES_SHOWN, INCIDENTS_SHOWN = 50, 50, 20
FATES: dict[str, tuple[str, ...]] = {
    "left": UNRECOVERED,
    "recovered": (RunState.SUCCEEDED, RunState.RECOVERED_AUTO, RunState.RECOVERED_BY_ACTION),
    "alone": (RunState.SUCCEEDED, RunState.RECOVERED_AUTO),
}


def matching(reader: Reader, filters: RunFilterForm) -> RunQuerySet:
    """The runs of the view, those heard of last first."""
    asked = filters.cleaned_data
    found = Run.objects.for_tenant(reader.tenant_id)
    if asked["state"]:
        found = found.filter(state__in=FATES.get(asked["state"], (asked["state"],)))
    if asked["workflow"]:
        found = found.filter(workflow__slug=asked["workflow"])
    if asked["incident"]:
        mine = Incident.objects.for_tenant(reader.tenant_id).filter(number=asked["incident"])
        found = found.filter(affected_by__incident__in=mine)
    if asked["q"]:
        found = found.filter(run_id=asked["q"])
    return found.order_by("-id")


def page(reader: Reader, filters: RunFilterForm, number: int) -> RunPage:
    found = matching(reader, filters)
    n_matching = console.up_to(found)
    number = max(1, min(number, -(-n_matching.n // PAGE_SIZE)))
    start = (number - 1) * PAGE_SIZE
    shown = found.select_related("workflow", "incident")[start : start + PAGE_SIZE]
    return RunPage(
        lines=tuple(runs.line(run) for run in shown),
        number=number,
        n_matching=n_matching,
        has_next=start + PAGE_SIZE < n_matching.n,
    )


def detail(reader: Reader, run: Run, *, allowed: Collection[str]) -> RunDetail:
    incidents = list(_incidents(reader, run))
    links = list(_links(reader, run))
    events = {event.pk: event for event in _events(reader, links)}
    moments = [*_reports(links, events, incidents), *map(timeline.moment, _lines(reader, run))]
    latest = max(events.values(), key=lambda event: (event.occurred_at, event.pk), default=None)
    return RunDetail(
        id=run.pk,
        version=run.version,
        run_id=run.run_id,
        workflow=run.workflow.slug,
        pill=runs.PILLS[RunState(run.state)],
        step=runs.step(run),
        first_failed_at=run.first_failed_at,
        last_failed_at=run.last_failed_at,
        succeeded_at=run.succeeded_at,
        recovered_at=run.recovered_at,
        n_failures=run.episode,
        verbs=runs.verbs(run, allowed=allowed),
        incidents=console.rows_of(reader, incidents),
        days=timeline.by_day(sorted(moments, key=lambda one: one.at, reverse=True), now=reader.now),
        has_more_events=len(links) == EVENTS_SHOWN,
        payload=details.payload_text(latest.payload) if latest else "",
        payload_at=latest.received_at if latest else None,
    )


def _incidents(reader: Reader, run: Run) -> Iterable[Incident]:
    mine = Incident.objects.for_tenant(reader.tenant_id).filter(affected__run=run)
    return mine.for_list().newest_first()[:INCIDENTS_SHOWN]


def _links(reader: Reader, run: Run) -> QuerySet[EventLink]:
    mine = EventLink.objects.for_tenant(reader.tenant_id).filter(run_id=run.pk)
    return mine.order_by("-id")[:EVENTS_SHOWN]


def _events(reader: Reader, links: Iterable[EventLink]) -> QuerySet[Event]:
    """Those whose partition is still there."""
    mine = Event.objects.for_tenant(reader.tenant_id).filter(pk__in=[link.pk for link in links])
    return mine.select_related("workflow")


def _reports(
    links: Iterable[EventLink], events: Mapping[UUID, Event], incidents: Iterable[Incident]
) -> Iterable[Moment]:
    numbers = {incident.pk: str(incident) for incident in incidents}
    for link in links:
        if event := events.get(link.pk):
            incident = numbers.get(link.incident_id, "") if link.incident_id else ""
            yield timeline.report(event, outcome=link.outcome, incident=incident)


def _lines(reader: Reader, run: Run) -> Iterable[JournalEntry]:
    mine = JournalEntry.objects.for_tenant(reader.tenant_id)
    about = mine.filter(subject_type="run", subject_id=str(run.pk))
    return about.order_by("-at", "-id")[:LINES_SHOWN]
