"""The console's way to have a retry compensated: on to the action that asks for it, or what is in the way."""

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_POST

from actions import compensation
from actions.compensation import NotCompensable
from actions.models import Action
from actions.states import Status
from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.htmx import Toast
from tenants.access import TenantRequest, requires


@require_POST
@requires("act")
def compensate(request: TenantRequest, pk: UUID) -> HttpResponse:
    """Asking twice leads to the one that was asked for already."""
    action = get_object_or_404(Action.objects.for_tenant(request.tenant), pk=pk)
    reason = request.POST.get("reason", "")[:4000]
    try:
        asked = compensation.ask(action, reason=reason, by=request.caller.actor, now=clock.now())
    except NotCompensable as refused:
        shown = refused.asked or action
        return _to(request, shown, Toast(str(refused), "bad"))
    waits = asked.status == Status.AWAITING_APPROVAL
    done = "Somebody else must approve it." if waits else "The workflow is asked to undo it."
    return _to(request, asked, Toast(done))


def _to(request: TenantRequest, action: Action, toast: Toast) -> HttpResponse:
    return htmx.go(request, reverse("actions:detail", args=[action.pk]), toast=toast)
