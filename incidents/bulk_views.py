"""Console pages of one verb for many incidents: asked about where it takes a word, followed, taken back."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.htmx import Toast
from awfdrs_site.lib.problems import Problem
from awfdrs_site.lib.query import QueryError
from incidents import bulk, bulk_verbs, bulk_work, console
from incidents.bulk import TooMany, UnknownIncident
from incidents.bulk_forms import BulkForm, view_of
from incidents.console import Reader
from incidents.forms import FilterForm
from incidents.lifecycle import ChangedSince
from incidents.models import BulkJob
from incidents.presentation.shapes import NOTHING_ABOVE, Above
from incidents.querysets import IncidentQuerySet
from incidents.states import BulkState
from incidents.triage_forms import PRESETS
from tenants.access import TenantRequest, requires

DONE = {
    "acknowledge": "acknowledged",
    "resolve": "resolved",
    "ignore": "ignored",
    "escalate": "escalated",
    "reopen": "reopened",
    "assign": "assigned",
    "snooze": "snoozed",
    "wake": "woken",
}


@require_POST
@requires("bulk")
def bulk_ask(request: TenantRequest, above: Above = NOTHING_ABOVE) -> HttpResponse:
    """Few incidents at once; all that match, and verbs that need a word, after a page that asks."""
    form = BulkForm(request.POST, tenant_id=request.tenant.id, me=request.caller.user_id)
    if not form.is_valid():
        return _asking(request, form, above, status=422)
    verb = form.cleaned_data["verb"]
    if not request.caller.may(bulk_verbs.NEEDS.get(verb, verb)):
        raise PermissionDenied
    if form.needs_asking():
        return _asking(request, form, above)
    try:
        job = _asked(request, form, above)
    except (TooMany, UnknownIncident) as refused:
        form.add_error(None, str(refused))
        return _asking(request, form, above, status=422)
    if bulk_work.work_here(job, now=clock.now()):
        return _told(request, job, form)
    return htmx.go(request, reverse("incidents:bulk-job", args=[job.pk]))


@require_safe
@requires("view")
def job(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    found = _get(request, pk)
    template = "incidents/_job.html" if htmx.is_htmx(request) else "incidents/job.html"
    return render(request, template, _job_context(request, found))


@require_POST
@requires("undo")
def undo_job(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    found = _get(request, pk)
    page = reverse("incidents:bulk-job", args=[found.pk])
    try:
        text = take_back(request, found)
    except ChangedSince as changed:
        toast = Toast(str(changed), "bad")
        if htmx.is_htmx(request):
            return htmx.told(toast=toast, status=409)
        return htmx.go(request, page, toast=toast)
    if htmx.is_htmx(request):
        return htmx.told(toast=Toast(text))
    return htmx.go(request, htmx.back_to(request, page), toast=Toast(text))


def take_back(request: TenantRequest, found: BulkJob) -> str:
    """Have the job undone, at once where it is small. Raises ChangedSince."""
    now = clock.now()
    found = bulk.ask_back(found, by=request.caller.actor, now=now)
    if found.state == BulkState.UNDOING:
        bulk_work.work_here(found, now=now)
    said = bulk.progress(found)
    if found.state == BulkState.UNDOING:
        return f"Undoing {said.total:,} incidents"
    kept = f", {said.kept:,} have changed since and stay" if said.kept else ""
    return f"Undone: {said.undone:,} {'is' if said.undone == 1 else 'are'} as before{kept}"


def _asked(request: TenantRequest, form: BulkForm, above: Above) -> BulkJob:
    said = form.cleaned_data
    return bulk.ask(
        request.tenant.id,
        said["verb"],
        _rows(request, form, above),
        parameters=form.parameters(now=clock.now()),
        query=said["view"] if said["all"] else "",
        by=request.caller.actor,
        now=clock.now(),
    )


def _rows(request: TenantRequest, form: BulkForm, above: Above) -> IncidentQuerySet:
    """Those ticked, or all of the view that were there when it was shown. Raises UnknownIncident."""
    said = form.cleaned_data
    if not said["all"]:
        return bulk.chosen(request.tenant.id, said["ids"])
    filters = FilterForm(QueryDict(said["view"]))
    if not filters.is_valid():
        raise Problem("validation_failed", "This view cannot be read.")
    reader = Reader(
        tenant_id=request.tenant.id,
        now=clock.now(),
        above=above,
        user_id=request.caller.user_id,
    )
    try:
        return console.matching(reader, filters).filter(pk__lte=said["through"])
    except QueryError as wrong:
        raise Problem("validation_failed", str(wrong)) from wrong


def _asking(
    request: TenantRequest, form: BulkForm, above: Above, *, status: int = 200
) -> HttpResponse:
    said: Mapping[str, Any] = getattr(form, "cleaned_data", {})
    n_chosen = 0
    if said.get("verb") and (said.get("ids") or (said.get("all") and said.get("through"))):
        try:
            n_chosen = _rows(request, form, above).order_by().count()
        except UnknownIncident as unknown:
            form.add_error(None, str(unknown))
    context = {
        "form": form,
        "verb": said.get("verb", ""),
        "n_chosen": n_chosen,
        "ids": said.get("ids", ()),
        "is_all": bool(said.get("all")),
        "view": said.get("view", ""),
        "through": said.get("through") or "",
        "presets": PRESETS,
        "back": f"{reverse('incidents:list')}?{said.get('view', '')}",
        "here": "incidents",
        "now": clock.now(),
    }
    if htmx.is_htmx(request) and not n_chosen:
        why = next(iter(form.errors.values()), ["Select incidents first."])[0]
        return htmx.told(toast=Toast(str(why), "bad"), status=422)
    if htmx.is_htmx(request):
        return render(request, "incidents/_bulk_ask.html", context, status=status)
    return render(request, "incidents/bulk_ask.html", context, status=status)


def _told(request: TenantRequest, job: BulkJob, form: BulkForm) -> HttpResponse:
    said = bulk.progress(job)
    text = f"{said.done:,} {'incident' if said.done == 1 else 'incidents'} {DONE[job.verb]}"
    failed = bulk.failures(job, most=3)
    if failed:
        why = " ".join(f"{item.incident}: {item.reason}" for item in failed)
        text = f"{text}, {said.failed:,} refused. {why}"
    undo_url = reverse("incidents:bulk-undo", args=[job.pk]) if said.done else ""
    toast = Toast(text, "bad" if failed else "good", undo=undo_url)
    if htmx.is_htmx(request):
        return htmx.trigger(htmx.told(toast=toast), "selection:done", {})
    return htmx.go(request, view_of(form.cleaned_data["view"]), toast=toast)


def _job_context(request: TenantRequest, job: BulkJob) -> dict[str, Any]:
    is_over = job.state in (BulkState.DONE, BulkState.UNDONE)
    can_undo = job.state == BulkState.DONE and request.caller.may("undo")
    return {
        "job": job,
        "progress": bulk.progress(job),
        "failures": bulk.failures(job),
        "is_over": is_over,
        "undo_url": reverse("incidents:bulk-undo", args=[job.pk]) if can_undo else "",
        "done": DONE.get(job.verb, job.verb),
        "here": "incidents",
        "now": clock.now(),
    }


def _get(request: TenantRequest, pk: UUID) -> BulkJob:
    found: BulkJob = get_object_or_404(BulkJob.objects.for_tenant(request.tenant), pk=pk)
    return found
