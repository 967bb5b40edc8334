"""Console pages of events: found by filters and words, and one of them with everything it said."""

from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from awfdrs_site.lib import clock
from awfdrs_site.lib.problems import Problem
from incidents import event_pages, reported
from incidents.console import Reader
from incidents.event_forms import EventFilterForm
from incidents.presentation.shapes import NOTHING_ABOVE
from tenants.access import TenantRequest, requires


@require_safe
@requires("view")
def event_list(request: TenantRequest) -> HttpResponse:
    filters = EventFilterForm(request.GET, tenant_id=request.tenant.id)
    if not filters.is_valid():  # an empty list would read as "nothing was reported"
        raise Problem("validation_failed", f"Unknown filter: {', '.join(filters.errors)}.")
    reader = _reader(request)
    context = {
        "page": event_pages.page(reader, filters, filters.cleaned_data["page"] or 1),
        "filters": filters,
        "is_filtered": filters.is_filtered,
        "clear_url": reverse("events:list"),
    }
    return render(request, "events/list.html", context | {"here": "events", "now": reader.now})


@require_safe
@requires("view")
def event_detail(request: TenantRequest, pk: UUID) -> HttpResponse:
    reader = _reader(request)
    found = reported.one(reader.tenant_id, pk)
    if found is None:
        raise Http404
    context = {"event": event_pages.detail(reader, found), "here": "events", "now": reader.now}
    return render(request, "events/detail.html", context)


def _reader(request: TenantRequest) -> Reader:
    return Reader(tenant_id=request.tenant.id, now=clock.now(), above=NOTHING_ABOVE)
