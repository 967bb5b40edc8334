"""Console pages of workflows: the list, and one with its incidents, runs and retries."""

from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from actions import workflow_pages
from actions.workflow_pages import SHOWN_CATEGORY
from awfdrs_site.lib import clock, params
from incidents.runbook_forms import RunbookForm
from safety.rulefields import CATEGORIES
from tenants.access import TenantRequest, requires

PAGES_MOST = 1000


@require_safe
@requires("view")
def workflow_list(request: TenantRequest) -> HttpResponse:
    now, number = clock.now(), params.whole(request.GET, "page", default=1, most=PAGES_MOST)
    page = workflow_pages.page(request.tenant.id, number, now=now)
    context = {"page": page, "here": "workflows", "now": now}
    return render(request, "workflows/list.html", context)


@require_safe
@requires("view")
def workflow_detail(request: TenantRequest, pk: UUID) -> HttpResponse:
    now, category = clock.now(), request.GET.get("category", SHOWN_CATEGORY)
    if category not in CATEGORIES:
        raise params.refused("category", "choice", "This must be a category of failures.")
    shown = workflow_pages.detail(request.tenant.id, pk, category, now=now)
    if shown is None:
        raise Http404
    context = {
        "shown": shown,
        "may_configure": request.caller.may("configure"),
        "runbook_form": RunbookForm(
            initial={"text": shown.runbook.text, "version": shown.runbook.version}
        ),
        "here": "workflows",
        "now": now,
    }
    return render(request, "workflows/detail.html", context)
