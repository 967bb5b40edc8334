"""Console pages that stop things and let them go again."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.htmx import Toast
from safety import killswitch, presentation
from safety.forms import LiftForm, StopForm
from safety.killswitch import AlreadyActive
from safety.models import KillSwitch
from safety.previews import NOTHING_ABOVE, Above, StopPreview
from tenants.access import TenantRequest, requires

PAST_SHOWN = 20


@require_safe
@requires("view")
def kill_switches(request: TenantRequest, above: Above = NOTHING_ABOVE) -> HttpResponse:
    tenant_id, may_stop = request.tenant.id, request.caller.may("stop")
    active = killswitch.active(tenant_id, now=clock.now())
    ids = [switch.id for switch in active]
    past = KillSwitch.objects.for_tenant(tenant_id).exclude(pk__in=ids).order_by("-id")
    previews = above.lifts(tenant_id, active)
    context = {
        "active": presentation.active_lines(
            tenant_id, active, may_lift=may_stop, previews=previews
        ),
        "past": presentation.past_lines(tenant_id, list(past[:PAST_SHOWN])),
        "form": StopForm(tenant_id=tenant_id) if may_stop else None,
        "lift_form": LiftForm(),
        "next": reverse("safety:kill-switches"),
    }
    return render(request, "safety/kill_switches.html", _page(context))


@require_safe
@requires("stop")
def stop(request: TenantRequest, above: Above = NOTHING_ABOVE) -> HttpResponse:
    """The dialog, or a page; where something is chosen already, with what that would hold."""
    return _stop_page(request, _chosen(request), preview=_preview(request, above))


@require_safe
@requires("stop")
def preview(request: TenantRequest, above: Above = NOTHING_ABOVE) -> HttpResponse:
    """What the form as it is would hold: a part for htmx, the whole page without."""
    found = _preview(request, above)
    if htmx.is_htmx(request):
        return render(request, "safety/_preview.html", {"preview": found})
    return _stop_page(request, _chosen(request), preview=found)


@require_POST
@requires("stop")
def activate(request: TenantRequest, above: Above = NOTHING_ABOVE) -> HttpResponse:
    form = StopForm(request.POST, tenant_id=request.tenant.id)
    if not form.is_valid():
        return _stop_page(request, form, status=422)
    now = clock.now()
    scope, target = form.target
    try:
        killswitch.activate(
            tenant_id=request.tenant.id,
            scope=scope,
            target=target,
            reason=form.cleaned_data["reason"],
            expires_at=form.expires_at(now=now),
            by=request.caller.actor,
            now=now,
        )
    except AlreadyActive:
        form.add_error(None, "This is stopped already.")
        return _stop_page(request, form, status=409)
    back = htmx.back_to(request, reverse("safety:kill-switches"))
    return htmx.go(request, back, toast=Toast("Stopped. No new attempt starts there."))


@require_POST
@requires("stop")
def lift(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    mine = KillSwitch.objects.for_tenant(request.tenant)
    switch = get_object_or_404(mine, pk=pk)
    form = LiftForm(request.POST)
    to = reverse("safety:kill-switches")
    if not form.is_valid():
        why = "Say why it is safe to lift it, and how many a second may go."
        return htmx.go(request, to, toast=Toast(why, "bad"))
    killswitch.lift(switch, **form.cleaned_data, by=request.caller.actor, now=clock.now())
    return htmx.go(request, to, toast=Toast("Lifted. What was held comes back in turn."))


@require_safe
@requires("view")
def bar(request: TenantRequest, above: Above = NOTHING_ABOVE) -> HttpResponse:
    return render(request, "safety/_bar.html", {"now": clock.now()})


def _chosen(request: TenantRequest) -> StopForm:
    form = StopForm(tenant_id=request.tenant.id, initial=request.GET.dict())
    if "what" not in request.GET and (meant := form.nearest(request.GET.get("find", ""))):
        form.initial["what"] = meant
    return form


def _preview(request: TenantRequest, above: Above) -> StopPreview | None:
    """None where nothing of the tenant's is chosen."""
    chosen = StopForm(request.GET, tenant_id=request.tenant.id)
    chosen.is_valid()  # the reason is still to come
    if "what" not in chosen.cleaned_data:
        return None
    return above.stop(request.tenant.id, *chosen.target)


def _stop_page(
    request: TenantRequest, form: StopForm, *, preview: StopPreview | None = None, status: int = 200
) -> HttpResponse:
    """The dialog for htmx, its form when that was refused, a page for everybody else."""
    back = htmx.back_to(request, reverse("incidents:list"))
    context = {"form": form, "next": back, "preview": preview}
    template = "safety/stop.html"
    if htmx.is_htmx(request):
        template = "safety/_stop_form.html" if request.method == "POST" else "safety/_stop.html"
    return render(request, template, _page(context), status=status)


def _page(context: dict[str, Any]) -> dict[str, Any]:
    return {"here": "kill-switches", "now": clock.now()} | context
