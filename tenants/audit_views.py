"""The console page of the audit log, and taking it along as a spreadsheet."""

from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from awfdrs_site.lib import clock
from awfdrs_site.lib.problems import Problem
from tenants import audit_export, audit_pages
from tenants.access import TenantRequest, requires
from tenants.audit_forms import AuditForm


@require_safe
@requires("audit")
def audit(request: TenantRequest) -> HttpResponse:
    form = _asked(request.GET)
    tenant_id = request.tenant.id
    context = {
        "page": audit_pages.page(tenant_id, form),
        "filters": form.data,  # `asked` is the frame's: what people must know on every page
        "is_filtered": bool(form.asked),
        "query": urlencode(form.asked),
        "verbs": audit_pages.verbs(tenant_id),
        "people": audit_pages.people(tenant_id),
        "may_export": request.caller.may("export"),
        "here": "audit",
        "now": clock.now(),
    }
    return render(request, "tenants/audit.html", context)


@require_POST
@requires("export")
def export(request: TenantRequest) -> HttpResponse:
    """A POST, because it leaves a line: nothing that fetches pages ahead may do it."""
    form = _asked(request.POST)
    now = clock.now()
    sheet = audit_export.export(request.tenant.id, form, by=request.caller.actor, now=now)
    name = f"audit-{request.tenant.slug}-{now:%Y%m%d-%H%M%S}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return HttpResponse(sheet, content_type="text/csv; charset=utf-8", headers=headers)


def _asked(data: object) -> AuditForm:
    form = AuditForm(data)  # type: ignore[arg-type]
    if not form.is_valid():  # an empty log would read as "nobody did anything"
        raise Problem("validation_failed", f"Unknown filter: {', '.join(form.errors)}.")
    return form
