"""Console pages that make incidents one and part them again."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.htmx import Toast
from incidents import merging
from incidents.forms import MergeForm, SplitForm
from incidents.lifecycle import TransitionRefused
from incidents.merging import MergeRefused, NotGroupedHere
from incidents.models import Incident
from incidents.presentation.shapes import NOTHING_ABOVE, Above
from incidents.views import said_by, undo_url
from tenants.access import TenantRequest, requires


@require_http_methods(["GET", "HEAD", "POST"])
@requires("merge")
def merge(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    incident = _get(request, pk)
    if request.method != "POST":
        return _merge_page(request, incident, MergeForm(tenant_id=request.tenant.id))
    form = MergeForm(request.POST, tenant_id=request.tenant.id)
    if not form.is_valid():
        return _merge_page(request, incident, form, status=422)
    others = form.cleaned_data["incidents"]
    said = said_by(request) | {"reason": form.cleaned_data["reason"]}
    try:
        done = merging.merge(incident, [other.pk for other in others], **said)
    except (MergeRefused, TransitionRefused) as refused:
        form.add_error(None, str(refused))
        return _merge_page(request, incident, form, status=409)
    numbers = ", ".join(str(other) for other in others)
    toast = Toast(f"Merged {numbers} into {incident}", undo=undo_url(done.step))
    return htmx.go(request, incident.get_absolute_url(), toast=toast)


@require_POST
@requires("split")
def split(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    incident, form = _get(request, pk), SplitForm(request.POST)
    toast = Toast("Say which signature, and why in at most 4,000 characters.", "bad")
    if form.is_valid():
        toast = _split(request, incident, form.cleaned_data)
    return htmx.go(request, incident.get_absolute_url(), toast=toast)


def _split(request: TenantRequest, incident: Incident, asked: dict[str, Any]) -> Toast:
    said = said_by(request) | {"reason": asked["reason"]}
    try:
        merging.split(incident, [asked["signature"]], **said)
    except (NotGroupedHere, TransitionRefused) as refused:
        return Toast(str(refused), "bad")
    mine = Incident.objects.for_tenant(incident.tenant_id).open()
    return Toast(f"Split {mine.get(signature=asked['signature'])} from {incident}")


def _merge_page(
    request: TenantRequest, incident: Incident, form: MergeForm, *, status: int = 200
) -> HttpResponse:
    """The dialog for htmx, its form when that was refused, a page for everybody else."""
    template = "incidents/merge.html"
    if htmx.is_htmx(request):
        is_answer = request.method == "POST"
        template = "incidents/_merge_form.html" if is_answer else "incidents/_merge.html"
    context = {
        "form": form,
        "number": str(incident),
        "merge_url": reverse("incidents:merge", args=[incident.pk]),
        "incident_url": incident.get_absolute_url(),
        "here": "incidents",
        "now": clock.now(),
    }
    return render(request, template, context, status=status)


def _get(request: TenantRequest, pk: UUID) -> Incident:
    found: Incident = get_object_or_404(Incident.objects.for_tenant(request.tenant), pk=pk)
    return found
