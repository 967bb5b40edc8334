"""Console pages of triage: give it to somebody, let it sleep, note something, take a step back."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.htmx import Toast
from incidents import assigning, bulk, notes, snoozing, undo
from incidents.bulk_views import take_back
from incidents.lifecycle import ChangedSince, TransitionRefused
from incidents.models import BulkJob, Incident, Undo
from incidents.presentation.shapes import NOTHING_ABOVE, Above
from incidents.snoozing import SnoozeRefused
from incidents.triage_forms import PRESETS, AssignForm, NoteForm, SnoozeForm, WakeForm
from incidents.undo import NothingToUndo
from incidents.views import answer, get, said_by, undo_url
from tenants.access import TenantRequest, requires

PAGE = ("GET", "HEAD", "POST")


@require_http_methods(PAGE)
@requires("assign")
def assign(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    incident = get(request, pk)
    given = request.POST if request.method == "POST" else None
    form = AssignForm(given, tenant_id=request.tenant.id, me=request.caller.user_id)
    if given is None:
        return _page(request, "assign", incident, form)
    said = said_by(request)
    if not form.is_valid():
        return _page(request, "assign", incident, form, status=422)
    to = form.cleaned_data["assignee"]
    done = undo.remembered(
        incident, "assign", lambda row: assigning.assign(row, to=to, **said), **said
    )
    name = (to.get_full_name() or to.get_username()) if to else "nobody"
    toast = Toast(f"{incident} given to {name}", undo=undo_url(done.step))
    return answer(request, get(request, pk), above, toast)


@require_http_methods(PAGE)
@requires("snooze")
def snooze(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    incident, now = get(request, pk), clock.now()
    if request.method != "POST":
        return _page(request, "snooze", incident, SnoozeForm(now=now))
    form, said = SnoozeForm(request.POST, now=now), said_by(request)
    if not form.is_valid():
        return _page(request, "snooze", incident, form, status=422)
    terms, note = form.cleaned_data["terms"], form.cleaned_data["note"]

    def act(row: Incident) -> Incident:
        return snoozing.snooze(row, terms, note=note, **said)

    try:
        done = undo.remembered(incident, "snooze", act, **said)
    except SnoozeRefused as refused:
        form.add_error(refused.field, str(refused))
        return _page(request, "snooze", incident, form, status=422)
    except TransitionRefused as refused:
        return answer(request, get(request, pk), above, Toast(str(refused), "bad"), 409)
    toast = Toast(f"{incident} snoozed {terms.words}", undo=undo_url(done.step))
    return answer(request, get(request, pk), above, toast)


@require_POST
@requires("snooze")
def wake(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    incident, form, said = get(request, pk), WakeForm(request.POST), said_by(request)
    reason = form.cleaned_data["reason"] if form.is_valid() else ""
    done = undo.remembered(
        incident, "wake", lambda row: snoozing.wake(row, reason=reason, **said), **said
    )
    toast = Toast(f"{incident} is awake", undo=undo_url(done.step))
    return answer(request, get(request, pk), above, toast)


@require_POST
@requires("comment")
def comment(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    incident, form = get(request, pk), NoteForm(request.POST)
    if not form.is_valid():
        toast = Toast("Write something, in at most 4,000 characters.", "bad")
        return answer(request, incident, above, toast, 422)
    notes.comment(incident, note=form.cleaned_data["note"], **said_by(request))
    return answer(request, get(request, pk), above, Toast("Noted"))


@require_safe
@requires("undo")
def undo_steps(request: TenantRequest, above: Above = NOTHING_ABOVE) -> HttpResponse:
    """What can be taken back, for the command palette."""
    said = said_by(request)
    steps = undo.steps(request.tenant.id, **said)
    return render(request, "incidents/_undo_steps.html", {"steps": steps, "now": said["now"]})


@require_POST
@requires("undo")
def undo_step(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    """One step of this person, by the toast that told of it."""
    by = request.caller.actor
    mine = Undo.objects.for_tenant(request.tenant).filter(actor_kind=by.kind, actor_id=by.id)
    step = mine.filter(pk=pk).first()
    if step is None:
        raise Http404
    return _taken_back(request, lambda: _step_back(step, request))


@require_POST
@requires("undo")
def undo_latest(request: TenantRequest, above: Above = NOTHING_ABOVE) -> HttpResponse:
    """What this person did last, to one incident or to many: the key z."""
    said = said_by(request)
    try:
        last = undo.latest(request.tenant.id, **said)
    except NothingToUndo as nothing:
        return _say(request, Toast(str(nothing), "bad"), status=409)
    if isinstance(last, BulkJob):
        job = last
        return _taken_back(request, lambda: take_back(request, job))
    step = last
    return _taken_back(request, lambda: _step_back(step, request))


def _step_back(step: Undo, request: TenantRequest) -> str:
    incident = undo.take_back(step, **said_by(request))
    return f"Undone: {incident} is as it was"


def _taken_back(request: TenantRequest, act: Callable[[], str]) -> HttpResponse:
    try:
        return _say(request, Toast(act()))
    except ChangedSince as changed:
        return _say(request, Toast(str(changed), "bad"), status=409)


def _say(request: TenantRequest, toast: Toast, *, status: int = 200) -> HttpResponse:
    if htmx.is_htmx(request):
        return htmx.told(toast=toast, status=status)
    return htmx.go(request, htmx.back_to(request, reverse("incidents:list")), toast=toast)


def _page(
    request: TenantRequest, name: str, incident: Incident, form: Any, *, status: int = 200
) -> HttpResponse:
    """The dialog for htmx, its form when that was refused, a page for everybody else."""
    template = f"incidents/{name}.html"
    if htmx.is_htmx(request):
        is_answer = request.method == "POST"
        template = f"incidents/_{name}_form.html" if is_answer else f"incidents/_{name}.html"
    context = {
        "form": form,
        "number": str(incident),
        "url": reverse(f"incidents:{name}", args=[incident.pk]),
        "incident_url": incident.get_absolute_url(),
        "presets": PRESETS,
        "people": assigning.people(request.tenant.id) if name == "assign" else (),
        "assignee": incident.assignee,
        "most": bulk.MOST,
        "here": "incidents",
        "now": clock.now(),
    }
    response = render(request, template, context, status=status)
    if status == 422 and htmx.is_htmx(request):  # into the dialog, whatever it was asked for
        response.headers["HX-Retarget"] = f"#{name}-form"
        response.headers["HX-Reswap"] = "outerHTML"
    return response
