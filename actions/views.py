"""Console pages of actions."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from actions import (
    approval_pages,
    campaign_pages,
    escalation_pages,
    explain,
    explained,
    presentation,
    ticket_pages,
    voting,
)
from actions.approval_shapes import Viewer
from actions.lifecycle import ActionRefused
from actions.models import Action
from actions.querysets import ActionQuerySet
from actions.vote_refusals import VoteRefused
from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.htmx import Toast
from incidents.models import Incident, Run
from incidents.states import OPEN, UNRECOVERED
from tenants.access import TenantRequest, requires

SHOWN = 20


@require_safe
@requires("view")
def panel(request: TenantRequest, pk: UUID) -> HttpResponse:
    """The actions of an incident: part of its page, or a page of its own without JavaScript."""
    incident = get_object_or_404(Incident.objects.for_tenant(request.tenant), pk=pk)
    return _shown(request, _of_incident(request, incident))


@require_safe
@requires("view")
def run_panel(request: TenantRequest, pk: UUID) -> HttpResponse:
    """The same of a run."""
    return _shown(request, _of_run(request, pk))


@require_POST
@requires("approve")
def approve(request: TenantRequest, pk: UUID) -> HttpResponse:
    return _move(
        request, pk, "Approved. It runs as soon as its limits allow.", voting.approve_action
    )


@require_POST
@requires("approve")
def reject(request: TenantRequest, pk: UUID) -> HttpResponse:
    return _move(request, pk, "Rejected. It will not run.", voting.reject_action)


@require_POST
@requires("act")
def run(request: TenantRequest, pk: UUID) -> HttpResponse:
    return _move(request, pk, "It is sent as soon as its limits allow.", voting.run_action)


def _move(request: TenantRequest, pk: UUID, done: str, verb: Callable[..., Action]) -> HttpResponse:
    mine = Action.objects.for_tenant(request.tenant).exclude(incident=None)
    action = get_object_or_404(mine.select_related("incident"), pk=pk)
    assert action.incident is not None
    toast, status = Toast(done), 200
    try:
        verb(action, by=request.caller.actor, now=clock.now())
    except (ActionRefused, VoteRefused) as refusal:
        toast, status = Toast(str(refusal), "bad"), 409
    of_run = action.run_id is not None and request.POST.get("run") == str(action.run_id)
    if not htmx.is_htmx(request):
        name, about = ("run-panel", action.run_id) if of_run else ("panel", action.incident.pk)
        return htmx.go(request, reverse(f"actions:{name}", args=[about]), toast=toast)
    context = (
        _of_run(request, action.run_id)
        if of_run and action.run_id
        else _of_incident(request, action.incident)
    )
    return htmx.partial(request, "actions/_panel.html", context, toast=toast, status=status)


def _shown(request: TenantRequest, context: dict[str, Any]) -> HttpResponse:
    template = "actions/_panel.html" if htmx.is_htmx(request) else "actions/panel.html"
    return render(request, template, context)


def _of_incident(request: TenantRequest, incident: Incident) -> dict[str, Any]:
    shown_here = Incident.objects.for_tenant(request.tenant).with_members(incident.pk)
    mine = Action.objects.for_tenant(request.tenant).shown_on(shown_here)
    about = {"about": str(incident), "about_url": incident.get_absolute_url()}
    redrive = campaign_pages.redrive(incident, allowed=request.caller.verbs)
    viewer = Viewer(request.caller.actor, request.caller.verbs)
    asked = {"redrive": redrive, "approvals": approval_pages.of_incident(incident, viewer=viewer)}
    why: dict[str, Any] = {"escalations": escalation_pages.of_incident(incident)}
    why["swaps"] = htmx.is_htmx(request)
    why["tickets"] = ticket_pages.of_incident(incident)
    if incident.status in OPEN and incident.decided_at is not None:
        why["why_not"] = explained.why_not(explain.of_incident(incident, now=clock.now()))
    return _panel(request, mine) | about | asked | why | {"here": "incidents"}


def _of_run(request: TenantRequest, pk: UUID) -> dict[str, Any]:
    run = get_object_or_404(Run.objects.for_tenant(request.tenant), pk=pk)
    mine = Action.objects.for_tenant(request.tenant).filter(run=run)
    about = {"about": f"run {run.run_id}", "about_url": reverse("runs:detail", args=[pk])}
    told: dict[str, Any] = {"here": "runs", "of_run": pk}
    if run.state in UNRECOVERED:
        told["why_not"] = explained.why_not(explain.of_run(run, now=clock.now()))
    return _panel(request, mine) | about | told


def _panel(request: TenantRequest, mine: ActionQuerySet) -> dict[str, Any]:
    shown = mine.newest_first().for_list().with_attempts()[:SHOWN]
    return {
        "lines": presentation.lines(shown, may_act=request.caller.may("act")),
        "n_more": max(0, mine.count() - SHOWN),
        "now": clock.now(),
    }
