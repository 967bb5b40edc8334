"""Console page of an incident's events, one at a time: first, previous, next, last, and against a success."""

from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from awfdrs_site.lib import clock, params
from incidents import incident_events
from incidents.presentation.shapes import NOTHING_ABOVE, Above
from incidents.views import get
from tenants.access import TenantRequest, requires


@require_safe
@requires("view")
def events(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    incident, asked = get(request, pk), request.GET.get("at", "")
    if asked and not params.is_id(asked):
        raise Http404
    event = incident_events.shown(incident, UUID(asked) if asked else None)
    if event is None:
        raise Http404
    context = {"incident": incident, "event": event, "here": "incidents", "now": clock.now()}
    return render(request, "incidents/event.html", context)
