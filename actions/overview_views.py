"""The console's first page."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from actions import overview_pages
from awfdrs_site.lib import clock, htmx
from tenants.access import TenantRequest, requires


@require_safe
@requires("view")
def overview(request: TenantRequest) -> HttpResponse:
    now = clock.now()
    reader = overview_pages.reader_of(request.tenant.id, request.caller.user_id, now=now)
    shown = overview_pages.overview(reader)
    template = "overview/_refreshed.html" if htmx.is_htmx(request) else "overview/overview.html"
    return render(request, template, {"shown": shown, "here": "overview", "now": now})
