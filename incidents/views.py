"""Console pages of one incident. Every view takes `above`: what the layer above knows, passed in by the routes."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.htmx import Toast
from incidents import console, detail_address, detail_page, lifecycle, undo
from incidents.console import Reader
from incidents.forms import ReasonForm, ResolveForm
from incidents.lifecycle import TransitionRefused, UnrecoveredRuns
from incidents.models import Incident, Undo
from incidents.presentation.shapes import NOTHING_ABOVE, Above
from tenants.access import TenantRequest, requires


@require_safe
@requires("view")
def detail(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    incident = get(request, pk)
    template = "incidents/_detail.html" if htmx.is_htmx(request) else "incidents/detail.html"
    return render(request, template, _detail_context(request, incident, above))


@require_POST
@requires("acknowledge")
def acknowledge(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    return _move(request, pk, above, "acknowledged", forms.Form, lifecycle.acknowledge)


@require_POST
@requires("resolve")
def resolve(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    return _move(request, pk, above, "resolved", ResolveForm, lifecycle.resolve)


@require_POST
@requires("ignore")
def ignore(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    return _move(request, pk, above, "ignored", ReasonForm, lifecycle.ignore)


@require_POST
@requires("escalate")
def escalate(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    return _move(request, pk, above, "escalated", ReasonForm, lifecycle.escalate)


@require_POST
@requires("reopen")
def reopen(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    return _move(request, pk, above, "reopened", forms.Form, lifecycle.reopen)


def _move(
    request: TenantRequest,
    pk: UUID,
    above: Above,
    done: str,
    form_class: type[forms.Form],
    verb: Callable[..., Incident],
) -> HttpResponse:
    """One verb of the lifecycle with what its form asked for; a refusal shows where it stands now."""
    incident, form = get(request, pk), form_class(request.POST)
    if not form.is_valid():
        return answer(
            request, incident, above, Toast("Say why, in at most 4,000 characters.", "bad"), 422
        )
    said = said_by(request)
    waives = bool(form.cleaned_data.get("waive_unrecovered"))
    try:
        left = undo.remembered(
            incident,
            verb.__name__,
            lambda row: verb(row, **said, **form.cleaned_data),
            **said,
            with_sharers=waives,
        )
    except TransitionRefused as refusal:
        return answer(request, get(request, pk), above, Toast(str(refusal), "bad"), 409)
    except UnrecoveredRuns as refusal:
        text = f"{refusal} Open {incident} and say why you give them up."
        return answer(request, incident, above, Toast(text, "bad"), 409)
    toast = Toast(f"{incident} {done}", undo=undo_url(left.step))
    return answer(request, get(request, pk), above, toast)


def said_by(request: TenantRequest) -> dict[str, Any]:
    """Who does it and when, as every verb is told."""
    return {"by": request.caller.actor, "now": clock.now()}


def undo_url(step: Undo | None) -> str:
    """Where a step is taken back, if it can be."""
    return reverse("incidents:undo-step", args=[step.pk]) if step else ""


def answer(
    request: TenantRequest, incident: Incident, above: Above, toast: Toast, status: int = 200
) -> HttpResponse:
    """To a row its row, to the incident page its body, to a plain form the page it came from."""
    if not htmx.is_htmx(request):
        return htmx.go(request, htmx.back_to(request, incident.get_absolute_url()), toast=toast)
    if htmx.target_id(request) == "incident":
        context = _detail_context(request, incident, above)
        return htmx.partial(request, "incidents/_detail.html", context, toast=toast, status=status)
    reader = _reader(request, above)
    picks = request.caller.may("bulk")
    context = _page(reader, {"row": console.rows_of(reader, [incident])[0], "picks": picks})
    return htmx.partial(request, "incidents/_one_row.html", context, toast=toast, status=status)


def _detail_context(request: TenantRequest, incident: Incident, above: Above) -> dict[str, Any]:
    reader = _reader(request, above)
    asked = detail_address.read(request)
    shown = detail_page.detail(reader, incident, allowed=request.caller.verbs, asked=asked)
    waits = shown.row.next.kind == "human"
    caller = request.caller
    approvals = above.asked(incident, caller.actor, caller.verbs) if waits else ()
    return _page(reader, {"incident": shown, "approvals": approvals})


def _page(reader: Reader, context: dict[str, Any]) -> dict[str, Any]:
    return {"here": "incidents", "now": reader.now} | context


def _reader(request: TenantRequest, above: Above) -> Reader:
    return Reader(
        tenant_id=request.tenant.id, now=clock.now(), above=above, user_id=request.caller.user_id
    )


def get(request: TenantRequest, pk: UUID) -> Incident:
    found: Incident = get_object_or_404(
        Incident.objects.for_tenant(request.tenant).for_page(), pk=pk
    )
    return found
