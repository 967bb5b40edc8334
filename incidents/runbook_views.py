"""Console pages of runbooks: written by those who configure, ticked step by step by those who triage."""

from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.htmx import Toast
from incidents import runbooks
from incidents.models import Incident, Runbook
from incidents.presentation.shapes import NOTHING_ABOVE, Above
from incidents.runbook_forms import RunbookForm, SignatureForm, StepForm
from incidents.runbooks import UnknownStep, WrittenSince
from incidents.views import answer, get, said_by, undo_url
from tenants.access import TenantRequest, requires
from tenants.models import Workflow


@require_http_methods(["GET", "HEAD", "POST"])
@requires("configure")
def runbook(request: TenantRequest, pk: UUID) -> HttpResponse:
    """Of the workflow, or with `?signature=` of one failure of it."""
    workflow = get_object_or_404(Workflow.objects.for_tenant(request.tenant), pk=pk)
    failure = _failure(request, workflow)
    signature = failure.signature if failure else ""
    mine = Runbook.objects.for_tenant(request.tenant).filter(workflow=workflow)
    book = mine.filter(signature=signature).first()
    if request.method != "POST":
        kept = {"text": book.text, "version": book.version} if book else {"version": 0}
        return _page(request, workflow, failure, RunbookForm(initial=kept))
    form = RunbookForm(request.POST)
    if not form.is_valid():
        return _page(request, workflow, failure, form, status=422)
    text, seen = form.cleaned_data["text"], form.cleaned_data["version"]
    try:
        runbooks.write(workflow, text, signature=signature, seen=seen, **said_by(request))
    except WrittenSince as since:
        form.add_error(None, str(since))
        return _page(request, workflow, failure, form, status=409)
    return htmx.go(request, _back(workflow, failure), toast=Toast("Runbook saved"))


@require_POST
@requires("comment")
def step(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    """One step is done for this incident, or is not after all."""
    incident, form = get(request, pk), StepForm(request.POST)
    if not form.is_valid():
        return answer(request, incident, above, Toast("Say which step, and yes or no.", "bad"), 422)
    is_done = form.cleaned_data["done"] == "yes"
    verb = runbooks.tick if is_done else runbooks.untick
    try:
        left = verb(incident, form.cleaned_data["step"], **said_by(request))
    except UnknownStep as gone:
        return answer(request, get(request, pk), above, Toast(str(gone), "bad"), 409)
    toast = Toast("Step done" if is_done else "Step not done", undo=undo_url(left))
    return answer(request, get(request, pk), above, toast)


def _failure(request: TenantRequest, workflow: Workflow) -> Incident | None:
    """The latest incident of the signature that is asked for; there must be one."""
    form = SignatureForm(request.GET)
    if not form.is_valid():
        raise Http404
    if not form.cleaned_data["signature"]:
        return None
    mine = Incident.objects.for_tenant(request.tenant).filter(workflow=workflow)
    found = mine.filter(signature=form.cleaned_data["signature"]).order_by("-opened_at", "-id")
    incident: Incident | None = found.first()
    if incident is None:
        raise Http404
    return incident


def _back(workflow: Workflow, failure: Incident | None) -> str:
    if failure is not None:
        return failure.get_absolute_url()
    return f"{reverse('actions:workflow', args=[workflow.pk])}#h-runbook"


def _page(
    request: TenantRequest,
    workflow: Workflow,
    failure: Incident | None,
    form: RunbookForm,
    *,
    status: int = 200,
) -> HttpResponse:
    context = {
        "form": form,
        "workflow": workflow,
        "failure": failure,
        "write_url": request.get_full_path(),
        "back_url": _back(workflow, failure),
        "here": "workflows",
        "now": clock.now(),
    }
    return render(request, "workflows/runbook.html", context, status=status)
