"""Console pages of actions."""

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from actions import presentation
from actions.models import Action
from awfdrs_site.lib import clock, htmx
from incidents.models import Incident
from tenants.access import TenantRequest, requires

SHOWN = 20


@require_safe
@requires("view")
def panel(request: TenantRequest, pk: UUID) -> HttpResponse:
    """The actions of an incident: part of its page, or a page of its own without JavaScript."""
    incident = get_object_or_404(Incident.objects.for_tenant(request.tenant), pk=pk)
    mine = Action.objects.for_tenant(request.tenant).filter(incident=incident)
    shown = mine.newest_first().for_list().with_attempts()[:SHOWN]
    context = {
        "lines": presentation.lines(shown),
        "n_more": max(0, mine.count() - SHOWN),
        "number": str(incident),
        "incident_url": incident.get_absolute_url(),
        "here": "incidents",
        "now": clock.now(),
    }
    template = "actions/_panel.html" if htmx.is_htmx(request) else "actions/panel.html"
    return render(request, template, context)
