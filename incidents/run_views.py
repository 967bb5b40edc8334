"""Console pages of runs."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.htmx import Toast
from awfdrs_site.lib.problems import Problem
from incidents import lifecycle, run_pages
from incidents.console import Reader
from incidents.forms import ReasonForm, RunFilterForm
from incidents.models import Run
from incidents.presentation import runs
from incidents.presentation.shapes import NOTHING_ABOVE, Above
from incidents.states import RunState
from tenants.access import TenantRequest, requires


@require_safe
@requires("view")
def run_list(request: TenantRequest, above: Above = NOTHING_ABOVE) -> HttpResponse:
    filters = RunFilterForm(request.GET, tenant_id=request.tenant.id)
    if not filters.is_valid():  # an empty list would read as "all clear"
        raise Problem("validation_failed", f"Unknown filter: {', '.join(filters.errors)}.")
    reader = _reader(request, above)
    context = {
        "page": run_pages.page(reader, filters, filters.cleaned_data["page"] or 1),
        "filters": filters,
        "is_filtered": filters.is_filtered,
        "clear_url": reverse("runs:list"),
    }
    return render(request, "runs/list.html", _page(reader, context))


@require_safe
@requires("view")
def run_detail(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    template = "runs/_detail.html" if htmx.is_htmx(request) else "runs/detail.html"
    return render(request, template, _detail_context(request, _get(request, pk), above))


@require_POST
@requires("waive")
def waive(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    run, form = _get(request, pk), ReasonForm(request.POST)
    if not form.is_valid():
        toast = Toast("Say why, in at most 4,000 characters.", "bad")
        return _answer(request, run, above, toast, 422)
    was_waived = run.state == RunState.WAIVED
    now_is = lifecycle.waive(run, by=request.caller.actor, now=clock.now(), **form.cleaned_data)
    run = _get(request, pk)
    if now_is.state != RunState.WAIVED or was_waived:
        word = runs.PILLS[RunState(run.state)].word.lower()
        return _answer(request, run, above, Toast(f"Nothing to give up: the run is {word}.", "bad"))
    return _answer(request, run, above, Toast(f"Run {run.run_id} waived"))


def _answer(
    request: TenantRequest, run: Run, above: Above, toast: Toast, status: int = 200
) -> HttpResponse:
    """To the run page its body, to a plain form the page it came from."""
    if not htmx.is_htmx(request):
        return htmx.go(request, htmx.back_to(request, runs.address(run)), toast=toast)
    context = _detail_context(request, run, above)
    return htmx.partial(request, "runs/_detail.html", context, toast=toast, status=status)


def _detail_context(request: TenantRequest, run: Run, above: Above) -> dict[str, Any]:
    reader = _reader(request, above)
    return _page(reader, {"run": run_pages.detail(reader, run, allowed=request.caller.verbs)})


def _page(reader: Reader, context: dict[str, Any]) -> dict[str, Any]:
    return {"here": "runs", "now": reader.now} | context


def _reader(request: TenantRequest, above: Above) -> Reader:
    return Reader(tenant_id=request.tenant.id, now=clock.now(), above=above)


def _get(request: TenantRequest, pk: UUID) -> Run:
    mine = Run.objects.for_tenant(request.tenant).select_related("workflow")
    found: Run = get_object_or_404(mine, pk=pk)
    return found
