"""The console's way to let one held action through while its kill switch stays on."""

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_POST

from actions import canary
from actions.canary import NotHeld
from actions.lifecycle import ActionRefused
from actions.models import Action
from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.htmx import Toast
from safety.forms import ReasonForm
from tenants.access import TenantRequest, requires


@require_POST
@requires("stop")
def let_through(request: TenantRequest, pk: UUID) -> HttpResponse:
    action = get_object_or_404(Action.objects.for_tenant(request.tenant), pk=pk)
    to, form = reverse("actions:detail", args=[pk]), ReasonForm(request.POST)
    if not form.is_valid():
        return htmx.go(request, to, toast=Toast("Say why this one may go.", "bad"))
    reason, by = form.cleaned_data["reason"], request.caller.actor
    try:
        canary.let_through(action, reason=reason, by=by, now=clock.now())
    except (ActionRefused, NotHeld) as refused:
        return htmx.go(request, to, toast=Toast(str(refused), "bad"))
    return htmx.go(request, to, toast=Toast("Let through once. The kill switch stays on."))
