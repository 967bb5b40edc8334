"""The console page of analytics, and the same as a spreadsheet."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from actions import analytics_pages
from actions.analytics_pages import RANGES, SHOWN_FIRST
from awfdrs_site.lib import clock, params
from tenants.access import TenantRequest, requires


@require_safe
@requires("view")
def analytics(request: TenantRequest) -> HttpResponse:
    now = clock.now()
    shown = analytics_pages.shown(request.tenant.id, _range(request), now=now)
    return render(request, "analytics/page.html", {"shown": shown, "here": "analytics", "now": now})


@require_safe
@requires("view")
def sheet(request: TenantRequest) -> HttpResponse:
    now, range_ = clock.now(), _range(request)
    written = analytics_pages.sheet(request.tenant.id, range_, now=now)
    name = f"analytics-{request.tenant.slug}-{range_}-{now:%Y%m%d-%H%M%S}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return HttpResponse(written, content_type="text/csv; charset=utf-8", headers=headers)


def _range(request: TenantRequest) -> str:
    asked = request.GET.get("range", SHOWN_FIRST)
    if asked not in RANGES:
        raise params.refused("range", "choice", f"This must be one of {', '.join(RANGES)}.")
    return asked
