"""Console pages of what is allowed at the moment: the safety overview, and vendors with their breakers."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from actions import vendor_pages
from actions.vendor_forms import AUTO, MODES, ForceForm
from awfdrs_site.lib import clock, htmx, params
from awfdrs_site.lib.htmx import Toast
from safety import breaker
from tenants.access import TenantRequest, requires
from tenants.models import Vendor

PAGES_MOST = 1000


@require_safe
@requires("view")
def overview(request: TenantRequest) -> HttpResponse:
    now = clock.now()
    template = "safety/_overview.html" if htmx.is_htmx(request) else "safety/overview.html"
    shown = vendor_pages.overview(request.tenant.id, now=now)
    return render(request, template, {"shown": shown, "here": "safety", "now": now})


@require_safe
@requires("view")
def vendor_list(request: TenantRequest) -> HttpResponse:
    now, number = clock.now(), params.whole(request.GET, "page", default=1, most=PAGES_MOST)
    template = "vendors/_rows.html" if htmx.is_htmx(request) else "vendors/list.html"
    page = vendor_pages.page(request.tenant.id, number, now=now)
    context = {"page": page, "here": "vendors", "here_url": request.get_full_path(), "now": now}
    return render(request, template, context)


@require_safe
@requires("view")
def vendor_detail(request: TenantRequest, pk: UUID) -> HttpResponse:
    template = "vendors/_detail.html" if htmx.is_htmx(request) else "vendors/detail.html"
    return render(request, template, _shown(request, _get(request, pk)))


@require_POST
@requires("configure")
def force(request: TenantRequest, pk: UUID) -> HttpResponse:
    vendor, form, now = _get(request, pk), ForceForm(request.POST), clock.now()
    if not form.is_valid():
        template = "vendors/_force.html" if htmx.is_htmx(request) else "vendors/detail.html"
        return render(request, template, _shown(request, vendor, form=form), status=422)
    breaker.force(
        vendor,
        mode=form.forced,
        reason=form.cleaned_data["reason"],
        until=form.until(now=now),
        by=request.caller.actor,
        now=now,
    )
    said = dict(MODES).get(form.cleaned_data["mode"], "Handed back: the breaker decides again")
    return htmx.go(request, reverse("vendors:detail", args=[pk]), toast=Toast(f"{said}."))


def _shown(request: TenantRequest, vendor: Vendor, *, form: ForceForm | None = None) -> Any:
    now, may = clock.now(), request.caller.may
    shown = vendor_pages.detail(vendor, now=now, may_stop=may("stop"))
    initial = {"mode": AUTO if shown.is_forced else "forced_open", "minutes": "60"}
    unsent = ForceForm(initial=initial) if may("configure") else None
    page = {"here": "vendors", "now": now}
    return {"shown": shown, "form": form or unsent, "may_force": may("configure")} | page


def _get(request: TenantRequest, pk: UUID) -> Vendor:
    found: Vendor = get_object_or_404(Vendor.objects.for_tenant(request.tenant), pk=pk)
    return found
