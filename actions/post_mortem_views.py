"""The console page that tells an incident from beginning to end, and the same as Markdown."""

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from actions import post_mortem_pages
from awfdrs_site.lib import clock
from incidents.models import Incident
from tenants.access import TenantRequest, requires


@require_safe
@requires("view")
def post_mortem(request: TenantRequest, pk: UUID) -> HttpResponse:
    mine = Incident.objects.for_tenant(request.tenant).for_page()
    incident: Incident = get_object_or_404(mine, pk=pk)
    found = post_mortem_pages.told(incident)
    if request.GET.get("as") != "markdown":
        context = {"found": found, "here": "incidents", "now": clock.now()}
        return render(request, "actions/post_mortem.html", context)
    text = post_mortem_pages.as_markdown(found, notes=post_mortem_pages.notes_of(incident))
    return HttpResponse(text, content_type="text/markdown; charset=utf-8")
