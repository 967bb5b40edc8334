"""Console pages of actions."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from actions import lifecycle, presentation
from actions.lifecycle import ActionRefused
from actions.models import Action
from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.htmx import Toast
from incidents.models import Incident
from tenants.access import TenantRequest, requires

SHOWN = 20


@require_safe
@requires("view")
def panel(request: TenantRequest, pk: UUID) -> HttpResponse:
    """The actions of an incident: part of its page, or a page of its own without JavaScript."""
    incident = get_object_or_404(Incident.objects.for_tenant(request.tenant), pk=pk)
    template = "actions/_panel.html" if htmx.is_htmx(request) else "actions/panel.html"
    return render(request, template, _panel(request, incident))


@require_POST
@requires("act")
def approve(request: TenantRequest, pk: UUID) -> HttpResponse:
    return _move(request, pk, "Approved. It runs as soon as its limits allow.", lifecycle.approve)


@require_POST
@requires("act")
def reject(request: TenantRequest, pk: UUID) -> HttpResponse:
    return _move(request, pk, "Rejected. It will not run.", lifecycle.reject)


def _move(request: TenantRequest, pk: UUID, done: str, verb: Callable[..., Action]) -> HttpResponse:
    mine = Action.objects.for_tenant(request.tenant).exclude(incident=None)
    action = get_object_or_404(mine.select_related("incident"), pk=pk)
    assert action.incident is not None
    toast, status = Toast(done), 200
    try:
        verb(action, by=request.caller.actor, now=clock.now())
    except ActionRefused as refusal:
        toast, status = Toast(str(refusal), "bad"), 409
    if not htmx.is_htmx(request):
        return htmx.go(request, reverse("actions:panel", args=[action.incident.pk]), toast=toast)
    context = _panel(request, action.incident)
    return htmx.partial(request, "actions/_panel.html", context, toast=toast, status=status)


def _panel(request: TenantRequest, incident: Incident) -> dict[str, Any]:
    mine = Action.objects.for_tenant(request.tenant).filter(incident=incident)
    shown = mine.newest_first().for_list().with_attempts()[:SHOWN]
    return {
        "lines": presentation.lines(shown, may_act=request.caller.may("act")),
        "n_more": max(0, mine.count() - SHOWN),
        "number": str(incident),
        "incident_url": incident.get_absolute_url(),
        "here": "incidents",
        "now": clock.now(),
    }
