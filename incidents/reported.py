"""The only place that finds reported events with what the digest made of them, the kept ones of dropped days too."""

from uuid import UUID

from django.db.models import OuterRef, Q, QuerySet, Subquery, UUIDField, Value

from awfdrs_site.lib import params
from events.models import Event, KeptEvent
from incidents.models import EventLink
from incidents.states import Outcome


def events_of(tenant_id: UUID) -> QuerySet[Event]:
    """Events with what the digest made of them."""
    link = EventLink.objects.for_tenant(tenant_id).filter(pk=OuterRef("pk"))
    rows: QuerySet[Event] = Event.objects.for_tenant(tenant_id)
    return rows.select_related("workflow").annotate(
        outcome=Subquery(link.values("outcome")[:1]),
        incident_id=Subquery(link.values("incident_id")[:1]),
    )


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
    return found or kept_of(tenant_id).filter(pk=event_id).first()


def saying(text: str) -> Q:
    """An id, a run, a correlation id or a type as they are; a code or message that holds the text."""
    wanted = Q(run_ref=text) | Q(correlation_id=text) | Q(event_type=text)
    wanted |= Q(payload__error_code__icontains=text) | Q(payload__error_message__icontains=text)
    return wanted | Q(pk=text) if params.is_id(text) else wanted
