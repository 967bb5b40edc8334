"""The only place that finds reported events with what the digest made of them, the kept ones of dropped days too."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet, UUIDField, Value

from awfdrs_site.lib import params
from events.models import Event, KeptEvent
from incidents.models import EventLink
from incidents.states import Outcome


def events_of(tenant_id: UUID) -> QuerySet[Event]:
    """What was reported; `link` says what the digest made of it."""
    rows: QuerySet[Event] = Event.objects.for_tenant(tenant_id)
    return rows.select_related("workflow")


def link(tenant_id: UUID, events: Iterable[Any]) -> None:
    """Set `outcome` and `incident_id` of each event: None for what waits to be digested. One query, of their days."""
    by_id = {event.pk: event for event in events}
    mine = EventLink.objects.for_tenant(tenant_id).filter(pk__in=list(by_id))
    made = {pk: rest for pk, *rest in mine.values_list("pk", "outcome", "incident_id")}
    for pk, event in by_id.items():
        event.outcome, event.incident_id = made.get(pk, (None, None))


def kept_of(tenant_id: UUID) -> QuerySet[KeptEvent]:
    """What outlived its day: failures that incidents are explained by; which ones is not kept."""
    rows: QuerySet[KeptEvent] = KeptEvent.objects.for_tenant(tenant_id)
    return rows.select_related("workflow").annotate(
        outcome=Value(Outcome.FAILURE.value),
        incident_id=Value(None, output_field=UUIDField()),
    )


def one(tenant_id: UUID, event_id: UUID) -> Event | KeptEvent | None:
    """The event, from its day or from what was kept of it."""
    found = events_of(tenant_id).filter(pk=event_id).first()
    if found is None:
        return kept_of(tenant_id).filter(pk=event_id).first()
    link(tenant_id, [found])
    return found


def saying(text: str) -> Q:
    """An id, a run, a correlation id or a type as they are; a code or message that holds the text."""
    wanted = Q(run_ref=text) | Q(correlation_id=text) | Q(event_type=text)
    wanted |= Q(payload__error_code__icontains=text) | Q(payload__error_message__icontains=text)
    return wanted | Q(pk=text) if params.is_id(text) else wanted
