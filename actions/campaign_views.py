"""Console pages of campaigns: planned, watched, paused and ended by people."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from actions import campaign_pages, campaign_plans, campaigns
from actions.campaign_forms import PlanForm, WhyForm
from actions.campaign_plans import TooManyRuns
from actions.campaigns import CampaignRefused, MayNotGo
from actions.models import Campaign
from actions.states import CampaignStatus
from awfdrs_site.lib import clock, htmx, params
from awfdrs_site.lib.htmx import Toast
from incidents.models import Incident
from tenants.access import TenantRequest, requires

PAGES_MOST = 1000


@require_safe
@requires("view")
def campaign_list(request: TenantRequest) -> HttpResponse:
    number = params.whole(request.GET, "page", default=1, most=PAGES_MOST)
    context = {"page": campaign_pages.page(request.tenant.id, number)}
    template = "campaigns/_rows.html" if htmx.is_htmx(request) else "campaigns/list.html"
    return render(request, template, _page(context))


@require_http_methods(["GET", "HEAD", "POST"])
@requires("act")
def plan(request: TenantRequest) -> HttpResponse:
    """Ask for the terms; then the plan is a page, and nothing is called before somebody starts it."""
    if request.method != "POST":
        incident = request.GET.get("incident", "")
        mine = Incident.objects.for_tenant(request.tenant)
        get_object_or_404(mine, pk=incident if params.is_id(incident) else None)
        form = PlanForm(initial={"incident": incident}, tenant_id=request.tenant.id)
        return _plan_page(request, form, incident)
    form = PlanForm(request.POST, tenant_id=request.tenant.id)
    if not form.is_valid():
        return _plan_page(request, form, request.POST.get("incident", ""), status=422)
    found = form.cleaned_data["incident"]
    try:
        campaign = campaign_plans.plan(
            campaign_plans.runs_of(found),
            tenant_id=request.tenant.id,
            incident=found,
            terms=form.terms,
            by=request.caller.actor,
            now=clock.now(),
        )
    except TooManyRuns as refused:
        form.add_error(None, str(refused))
        return _plan_page(request, form, str(found.pk), status=409)
    return htmx.go(
        request,
        reverse("campaigns:detail", args=[campaign.pk]),
        toast=Toast("Planned. Nothing is called before it is started."),
    )


@require_safe
@requires("view")
def campaign_detail(request: TenantRequest, pk: UUID) -> HttpResponse:
    template = "campaigns/_detail.html" if htmx.is_htmx(request) else "campaigns/detail.html"
    return render(request, template, _shown(request, _get(request, pk)))


@require_POST
@requires("act")
def start(request: TenantRequest, pk: UUID) -> HttpResponse:
    return _move(request, pk, "Started with its first stage.", campaigns.start)


@require_POST
@requires("act")
def pause(request: TenantRequest, pk: UUID) -> HttpResponse:
    return _move(request, pk, "Paused. No further call starts.", campaigns.pause, with_reason=True)


@require_POST
@requires("act")
def resume(request: TenantRequest, pk: UUID) -> HttpResponse:
    return _move(request, pk, "Resumed with the runs not called yet.", campaigns.resume)


@require_POST
@requires("act")
def abort(request: TenantRequest, pk: UUID) -> HttpResponse:
    return _move(request, pk, "Aborted. Nothing more is called.", campaigns.abort, with_reason=True)


def _move(
    request: TenantRequest,
    pk: UUID,
    done: str,
    verb: Callable[..., Campaign],
    *,
    with_reason: bool = False,
) -> HttpResponse:
    campaign, form = _get(request, pk), WhyForm(request.POST)
    why = {"reason": form.cleaned_data["reason"] if form.is_valid() else ""} if with_reason else {}
    toast, status = Toast(done), 200
    try:
        now_is = verb(campaign, by=request.caller.actor, now=clock.now(), **why)
    except (CampaignRefused, MayNotGo) as refused:
        toast, status = Toast(str(refused), "bad"), 409
    else:
        if verb is campaigns.start and now_is.status == CampaignStatus.PLANNED:
            toast = Toast("Counted. It starts when as many people as are needed have started it.")
    if not htmx.is_htmx(request):
        return htmx.go(request, reverse("campaigns:detail", args=[pk]), toast=toast)
    context = _shown(request, _get(request, pk))
    return htmx.partial(request, "campaigns/_detail.html", context, toast=toast, status=status)


def _plan_page(
    request: TenantRequest, form: PlanForm, incident_id: str, *, status: int = 200
) -> HttpResponse:
    """The dialog for htmx, its form when that was refused, a page for everybody else."""
    template = "campaigns/plan.html"
    if htmx.is_htmx(request):
        is_answer = request.method == "POST"
        template = "campaigns/_plan_form.html" if is_answer else "campaigns/_plan.html"
    mine = Incident.objects.for_tenant(request.tenant)
    incident = mine.filter(pk=incident_id).first() if params.is_id(incident_id) else None
    context = {
        "form": form,
        "number": str(incident) if incident else "",
        "n_runs": incident.unrecovered_runs if incident else 0,
        "back": incident.get_absolute_url() if incident else reverse("campaigns:list"),
    }
    return render(request, template, _page(context), status=status)


def _shown(request: TenantRequest, campaign: Campaign) -> dict[str, Any]:
    shown = campaign_pages.detail(campaign, now=clock.now(), allowed=request.caller.verbs)
    return _page({"shown": shown})


def _page(context: dict[str, Any]) -> dict[str, Any]:
    return {"here": "campaigns", "now": clock.now()} | context


def _get(request: TenantRequest, pk: UUID) -> Campaign:
    mine = Campaign.objects.for_tenant(request.tenant).select_related("incident")
    found: Campaign = get_object_or_404(mine, pk=pk)
    return found
