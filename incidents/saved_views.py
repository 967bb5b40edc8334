"""Console pages of the views that people keep: each translates once."""

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.htmx import Toast
from incidents import list_page, saving
from incidents.models import SavedView
from incidents.presentation.addresses import listed
from incidents.presentation.shapes import NOTHING_ABOVE, Above
from incidents.saving import Asked, ViewRefused
from incidents.view_forms import NamedForm, SaveForm
from tenants.access import TenantRequest, requires

SHARES = "acknowledge"  # whoever triages may show a view to everybody
KEEPS_ALL = "configure"  # and whoever configures may change what others share


@require_safe
@requires("view")
def saved(request: TenantRequest, above: Above = NOTHING_ABOVE) -> HttpResponse:
    """All that this person sees, with what they may change."""
    return _list(request)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("view")
def save(request: TenantRequest, above: Above = NOTHING_ABOVE) -> HttpResponse:
    may_share = request.caller.may(SHARES)
    if request.method != "POST":
        asked = {name: request.GET.get(name, "") for name in ("tab", "q", "ordering")}
        return _form(request, SaveForm(initial=asked, may_share=may_share))
    form = SaveForm(request.POST, may_share=may_share)
    if not form.is_valid():
        return _form(request, form, status=422)
    asked = form.cleaned_data
    try:
        view = saving.save(
            tenant_id=request.tenant.id,
            owner_id=_person(request),
            name=asked["name"],
            asked=Asked(asked["tab"], asked["q"], asked["ordering"]),
            is_shared=form.is_to_be_shared,
            by=request.caller.actor,
            now=clock.now(),
        )
    except ViewRefused as refused:
        form.add_error(None, str(refused))
        return _form(request, form, status=409)
    return htmx.go(request, list_page.address(view), toast=Toast(f"Saved “{view}”"))


@require_POST
@requires("view")
def change(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    view, form = _mine(request, pk), NamedForm(request.POST, may_share=request.caller.may(SHARES))
    if not form.is_valid():
        return _list(request, wrong="A name has 1 to 60 characters.", status=422)
    is_shared = form.is_to_be_shared if "is_shared" in form.fields else view.is_shared
    try:
        saving.change(
            view,
            name=form.cleaned_data["name"],
            is_shared=is_shared,
            by=request.caller.actor,
            now=clock.now(),
        )
    except ViewRefused as refused:
        return _list(request, wrong=str(refused), status=409)
    return htmx.go(request, reverse("incidents:saved"), toast=Toast(f"“{view}” changed"))


@require_POST
@requires("view")
def move(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    is_up = request.POST.get("to") == "up"
    saving.move(_mine(request, pk), up=is_up, by=request.caller.actor, now=clock.now())
    return htmx.go(request, reverse("incidents:saved"))


@require_POST
@requires("view")
def delete(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    view = _mine(request, pk)
    saving.delete(view, by=request.caller.actor, now=clock.now())
    return htmx.go(request, reverse("incidents:saved"), toast=Toast(f"“{view}” is gone"))


def _person(request: TenantRequest) -> int:
    if request.caller.user_id is None:
        raise PermissionDenied
    return request.caller.user_id


def _mine(request: TenantRequest, pk: UUID) -> SavedView:
    """A view this person sees and may change; what they do not see is not there."""
    seen = saving.seen_by(request.tenant.id, _person(request))
    view = next((one for one in seen if one.pk == pk), None)
    if view is None:
        raise Http404
    if not _may_change(request, view):
        raise PermissionDenied
    return view


def _may_change(request: TenantRequest, view: SavedView) -> bool:
    return view.owner_id == request.caller.user_id or request.caller.may(KEEPS_ALL)


def _form(request: TenantRequest, form: SaveForm, *, status: int = 200) -> HttpResponse:
    asked = {name: form[name].value() or "" for name in ("tab", "q", "ordering")}
    context = {
        "here": "incidents",
        "now": clock.now(),
        "form": form,
        "text": asked["q"],
        "back_url": listed(**asked),
    }
    template = "incidents/save_view.html"
    if htmx.is_htmx(request):
        template = (
            "incidents/_save_form.html" if request.method == "POST" else "incidents/_save.html"
        )
    return render(request, template, context, status=status)


def _list(request: TenantRequest, *, wrong: str = "", status: int = 200) -> HttpResponse:
    seen = saving.seen_by(request.tenant.id, request.caller.user_id)
    context: dict[str, Any] = {
        "here": "incidents",
        "now": clock.now(),
        "views": [
            list_page.kept(view, may_change=_may_change(request, view), me=request.caller.user_id)
            for view in seen
        ],
        "may_share": request.caller.may(SHARES),
        "wrong": wrong,
    }
    return render(request, "incidents/saved.html", context, status=status)
