"""The only place that gathers and words what the event pages show."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse

from events import recent
from events.models import Event, KeptEvent
from incidents import console, evidence, reported
from incidents.console import Reader
from incidents.event_forms import EventFilterForm
from incidents.models import EventLink, Incident, Run
from incidents.presentation import details, grouped
from incidents.presentation.figures import Component, Numbered
from incidents.presentation.shapes import Pill
from incidents.states import Outcome

PAGE_SIZE = 50
PILLS = {
    Outcome.FAILURE: Pill("open", "x", "Failure"),
    Outcome.SUCCESS: Pill("recovering", "check", "Success"),
    Outcome.NEUTRAL: Pill("acknowledged", "minus", "Neutral"),
}
UNDIGESTED = Pill("acknowledged", "clock", "Waits to be digested")


@dataclass(frozen=True)
class EventLine:
    url: str
    id: UUID
    event_type: str
    workflow: str
    run: str
    vendor: str
    incident: str
    says: str
    pill: Pill
    at: datetime


@dataclass(frozen=True)
class EventPage(Numbered):
    lines: tuple[EventLine, ...]


@dataclass(frozen=True)
class Linked:
    """Something that the event belongs to, and where it is."""

    word: str
    url: str
    title: str = ""


@dataclass(frozen=True)
class EventDetail:
    line: EventLine
    payload: str
    extra: str
    occurred_at: datetime
    received_at: datetime
    schema_version: str
    correlation_id: str
    run: Linked | None
    incident: Linked | None
    why: tuple[Component, ...]
    is_kept: bool  # its day is gone


def matching(reader: Reader, filters: EventFilterForm) -> QuerySet[Event]:
    """The events of the view, those received last first."""
    asked = filters.cleaned_data
    found = reported.events_of(reader.tenant_id)
    exact = {
        "workflow__slug": asked["workflow"],
        "run_ref": asked["run"],
        "vendor_name": asked["vendor"],
    }
    found = found.filter(**{name: value for name, value in exact.items() if value})
    links = EventLink.objects.for_tenant(reader.tenant_id)
    if asked["outcome"]:
        found = found.filter(pk__in=links.filter(outcome=asked["outcome"]).values("pk"))
    if asked["incident"]:
        mine = Incident.objects.for_tenant(reader.tenant_id).filter(number=asked["incident"])
        found = found.filter(pk__in=links.filter(incident_id__in=mine.values("pk")).values("pk"))
    if asked["q"]:
        found = found.filter(reported.saying(asked["q"]))
    return found.order_by("-id")


def page(reader: Reader, filters: EventFilterForm, number: int) -> EventPage:
    found = matching(reader, filters)
    n_matching = console.up_to(found)
    number = max(1, min(number, -(-n_matching.n // PAGE_SIZE)))
    start = (number - 1) * PAGE_SIZE
    n_shown = min(PAGE_SIZE, n_matching.n - start)
    shown = recent.newest(found, n_shown, start=start)
    reported.link(reader.tenant_id, shown)
    numbers = _numbers(reader, shown)
    return EventPage(
        lines=tuple(_line(one, numbers) for one in shown),
        number=number,
        n_matching=n_matching,
        has_next=start + PAGE_SIZE < n_matching.n,
    )


def detail(reader: Reader, event: Event | KeptEvent) -> EventDetail:
    incident = _incident_of(reader, event)
    return EventDetail(
        line=_line(event, {incident.pk: str(incident)} if incident else {}),
        payload=details.payload_text(event.payload),
        extra=details.payload_text(event.extra) if event.extra else "",
        occurred_at=event.occurred_at,
        received_at=event.received_at,
        schema_version=event.schema_version,
        correlation_id=event.correlation_id,
        run=_run_of(reader, event),
        incident=_named(incident) if incident else None,
        why=_why(incident),
        is_kept=isinstance(event, KeptEvent),
    )


def _line(event: Event | KeptEvent, numbers: dict[UUID, str]) -> EventLine:
    outcome, incident_id = event.outcome, event.incident_id  # type: ignore[union-attr]  # annotated
    said = [str(event.payload.get(name) or "") for name in ("error_code", "error_message")]
    return EventLine(
        url=reverse("events:detail", args=[event.pk]),
        id=event.pk,
        event_type=event.event_type,
        workflow=event.workflow.slug,
        run=event.run_ref,
        vendor=event.vendor_name,
        incident=numbers.get(incident_id, ""),
        says=" · ".join(filter(None, said))[:200],
        pill=PILLS[Outcome(outcome)] if outcome else UNDIGESTED,
        at=event.received_at,
    )


def _numbers(reader: Reader, events: list[Event]) -> dict[UUID, str]:
    ids = {event.incident_id for event in events if event.incident_id}  # type: ignore[attr-defined]
    mine = Incident.objects.for_tenant(reader.tenant_id).filter(pk__in=ids).only("number")
    return {incident.pk: str(incident) for incident in mine}


def _incident_of(reader: Reader, event: Event | KeptEvent) -> Incident | None:
    mine = Incident.objects.for_tenant(reader.tenant_id)
    if isinstance(event, KeptEvent):
        return mine.filter(last_event_id=event.pk).first()
    return mine.filter(pk=event.incident_id).first()  # type: ignore[attr-defined]


def _run_of(reader: Reader, event: Event | KeptEvent) -> Linked | None:
    """Its page, where it has a row; else the run's events."""
    if not event.run_ref:
        return None
    mine = Run.objects.for_tenant(reader.tenant_id)
    run = mine.filter(workflow_id=event.workflow_id, run_id=event.run_ref).first()
    others = f"{reverse('events:list')}?{urlencode({'run': event.run_ref})}"
    return Linked(event.run_ref, reverse("runs:detail", args=[run.pk]) if run else others)


def _named(incident: Incident) -> Linked:
    return Linked(str(incident), incident.get_absolute_url(), incident.title)


def _why(incident: Incident | None) -> tuple[Component, ...]:
    """Why it was grouped there: the parts of the signature, the template's text in the place of its key."""
    return grouped.components(evidence.components(incident)) if incident else ()
