"""The only place that gathers one event of an incident: its neighbours, and what the last success said otherwise."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse

from events.models import Event
from incidents import comparing
from incidents.comparing import Difference
from incidents.models import EventLink, Incident
from incidents.presentation.details import payload_text
from incidents.states import Outcome

LOOKED_AT = 500  # events of the workflow before this one, in which a success is looked for


@dataclass(frozen=True)
class Shown:
    """One event; `first_url` and its like are empty where it is the first or last itself."""

    id: UUID
    event_type: str
    occurred_at: datetime
    received_at: datetime
    run_id: str
    payload: str
    place: str  # first | last | only | ""
    first_url: str
    previous_url: str
    next_url: str
    last_url: str
    good_at: datetime | None  # when the success was reported that it is compared with
    differences: tuple[Difference, ...]


def shown(incident: Incident, at: UUID | None) -> Shown | None:
    """The event, or the first of the incident where none is named; None when it is not of this incident."""
    links = EventLink.objects.for_tenant(incident.tenant_id).filter(incident_id=incident.pk)
    first, last = _id(links.order_by("id")), _id(links.order_by("-id"))
    at = at or first
    mine = Event.objects.for_tenant(incident.tenant_id)
    event = mine.filter(pk=at).first() if at and links.filter(pk=at).exists() else None
    if event is None:
        return None
    good = _last_good(event)
    place = {(True, True): "only", (True, False): "first", (False, True): "last"}
    return Shown(
        id=event.pk,
        event_type=event.event_type,
        occurred_at=event.occurred_at,
        received_at=event.received_at,
        run_id=event.run_ref or "",
        payload=payload_text(event.payload),
        place=place.get((event.pk == first, event.pk == last), ""),
        first_url=_url(incident, first if event.pk != first else None),
        previous_url=_url(incident, _id(links.filter(pk__lt=event.pk).order_by("-id"))),
        next_url=_url(incident, _id(links.filter(pk__gt=event.pk).order_by("id"))),
        last_url=_url(incident, last if event.pk != last else None),
        good_at=good.occurred_at if good else None,
        differences=comparing.differences(good.payload, event.payload) if good else (),
    )


def _last_good(event: Event) -> Event | None:
    """The last success of its workflow before it."""
    mine = Event.objects.for_tenant(event.tenant_id)
    before = mine.filter(workflow_id=event.workflow_id, pk__lt=event.pk).order_by("-id")
    ids = list(before.values_list("pk", flat=True)[:LOOKED_AT])
    links = EventLink.objects.for_tenant(event.tenant_id).filter(pk__in=ids)
    good = _id(links.filter(outcome=Outcome.SUCCESS).order_by("-id"))
    found: Event | None = mine.filter(pk=good).first() if good else None
    return found


def _id(links: QuerySet[EventLink]) -> UUID | None:
    return links.values_list("pk", flat=True).first()


def _url(incident: Incident, at: UUID | None) -> str:
    return f"{reverse('incidents:events', args=[incident.pk])}?at={at}" if at else ""
