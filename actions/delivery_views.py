"""The console page of the delivery log, and sending something again."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from actions import delivery_pages, outbox
from actions.delivery_forms import DeliveryFilterForm
from actions.models import Delivery
from actions.outbox import ResendRefused
from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.htmx import Toast
from awfdrs_site.lib.problems import Problem
from tenants.access import TenantRequest, requires


@require_safe
@requires("view")
def delivery_list(request: TenantRequest) -> HttpResponse:
    template = "deliveries/_rows.html" if htmx.is_htmx(request) else "deliveries/list.html"
    return render(request, template, _context(request))


@require_POST
@requires("act")
def resend(request: TenantRequest, pk: UUID) -> HttpResponse:
    delivery = get_object_or_404(Delivery.objects.for_tenant(request.tenant), pk=pk)
    toast, status = Toast("It is sent again."), 200
    try:
        outbox.resend(delivery, by=request.caller.actor, now=clock.now())
    except ResendRefused as refused:
        toast, status = Toast(str(refused), "bad"), 409
    if not htmx.is_htmx(request):
        return htmx.go(request, htmx.back_to(request, reverse("deliveries:list")), toast=toast)
    context = _context(request)
    return htmx.partial(request, "deliveries/_rows.html", context, toast=toast, status=status)


def _context(request: TenantRequest) -> dict[str, Any]:
    filters = DeliveryFilterForm(request.GET, tenant_id=request.tenant.id)
    if not filters.is_valid():  # an empty list would read as "everything was delivered"
        raise Problem("validation_failed", f"Unknown filter: {', '.join(filters.errors)}.")
    number, may_act = filters.cleaned_data["page"] or 1, request.caller.may("act")
    query = urlencode({name: value for name, value in filters.cleaned_data.items() if value})
    return {
        "page": delivery_pages.page(request.tenant.id, filters, number, may_act=may_act),
        "filters": filters,
        "is_filtered": filters.is_filtered,
        "query": query,
        "here_url": f"{reverse('deliveries:list')}?{query}",
        "here": "deliveries",
        "now": clock.now(),
    }
