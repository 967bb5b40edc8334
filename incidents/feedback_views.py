"""Console pages of what people say of the engine's findings, and of how far those can be trusted."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from awfdrs_site.lib import clock
from awfdrs_site.lib.htmx import Toast
from incidents import keeping, labels, reliability
from incidents.feedback_forms import CategoryForm, FixForm
from incidents.labels import NothingDecided
from incidents.models import Incident
from incidents.presentation import calibrated
from incidents.presentation.shapes import NOTHING_ABOVE, Above
from incidents.views import answer, get, said_by
from tenants.access import TenantRequest, requires


@require_POST
@requires("acknowledge")
def category(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    incident, form = get(request, pk), CategoryForm(request.POST)
    if not form.is_valid():
        return answer(request, incident, above, Toast("Choose one of the categories.", "bad"), 422)
    name = form.cleaned_data["category"]
    is_same = name == incident.category
    labels.confirm(keeping.locked(incident), name, **said_by(request))
    done = "confirmed" if is_same else "corrected"
    toast = Toast(f"{incident} is {name.replace('_', ' ')}: {done}")
    return answer(request, get(request, pk), above, toast)


@require_POST
@requires("acknowledge")
def fixed(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    incident, form = get(request, pk), FixForm(request.POST)
    if not form.is_valid():
        return answer(request, incident, above, Toast("Say yes or no.", "bad"), 422)
    worked, note = form.cleaned_data["worked"] == "yes", form.cleaned_data["note"]
    return _marked(
        request,
        incident,
        above,
        lambda row: labels.mark(row, worked=worked, note=note, **said_by(request)),
    )


@require_safe
@requires("view")
def reliability_page(request: TenantRequest, above: Above = NOTHING_ABOVE) -> HttpResponse:
    tenant_id = request.tenant.id
    found = reliability.of(tenant_id)
    context = {
        "here": "incidents",
        "now": clock.now(),
        "found": found,
        "points": calibrated.points(found.by_confidence),
        "said": reliability.said(tenant_id),
        "unsaid": reliability.unsaid(tenant_id),
    }
    return render(request, "incidents/reliability.html", context)


def _marked(
    request: TenantRequest, incident: Incident, above: Above, act: Callable[[Incident], Any]
) -> HttpResponse:
    try:
        act(keeping.locked(incident))
    except NothingDecided as refused:
        return answer(request, incident, above, Toast(str(refused), "bad"), 409)
    return answer(request, get(request, incident.pk), above, Toast(f"Noted for {incident}"))
