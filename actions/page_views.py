"""The pages of actions: what is queued, running, waiting, unknown and failed, and one action with its attempts."""

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from actions import action_pages, explain, explained
from actions.forms import ActionFilterForm
from actions.models import Action
from actions.states import Status
from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.problems import Problem
from tenants.access import TenantRequest, requires


@require_safe
@requires("view")
def action_list(request: TenantRequest) -> HttpResponse:
    filters = ActionFilterForm(request.GET, tenant_id=request.tenant.id)
    if not filters.is_valid():  # an empty list would read as "all clear"
        raise Problem("validation_failed", f"Unknown filter: {', '.join(filters.errors)}.")
    number, may_act = filters.cleaned_data["page"] or 1, request.caller.may("act")
    context = {
        "page": action_pages.page(request.tenant.id, filters, number, may_act=may_act),
        "tabs": action_pages.tabs(request.tenant.id, filters.current_tab),
        "filters": filters,
        "is_filtered": filters.is_filtered,
        "clear_url": f"{reverse('actions:list')}?tab={filters.current_tab}",
        "here": "actions",
        "now": clock.now(),
    }
    template = "actions/_rows.html" if htmx.is_htmx(request) else "actions/list.html"
    return render(request, template, context)


@require_safe
@requires("view")
def action_detail(request: TenantRequest, pk: UUID) -> HttpResponse:
    mine = Action.objects.for_tenant(request.tenant).for_list().with_attempts()
    action: Action = get_object_or_404(mine, pk=pk)
    now = clock.now()
    shown = action_pages.detail(action, now=now, may_act=request.caller.may("act"))
    template = "actions/_detail.html" if htmx.is_htmx(request) else "actions/detail.html"
    why_not = explained.why_not(explain.of_action(action, now=now))
    context = {
        "shown": shown,
        "why_not": why_not,
        "may_let_through": action.status == Status.PARKED and request.caller.may("stop"),
        "here": "actions",
        "now": now,
    }
    return render(request, template, context)
