"""The console's way to undo an action: once it is done the action that undid it, otherwise what is in the way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse as url_of
from django.views.decorators.http import require_POST

from actions import by_hand
from actions.executors.controls import Conflict
from actions.lifecycle import NotReversible
from actions.models import Action
from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.htmx import Toast
from tenants.access import TenantRequest, requires


@dataclass(frozen=True)
class Difference:
    """One value as it is now, and as a reversal would have put it back."""

    name: str
    found: str
    wanted: str


@require_POST
@requires("act")
def reverse(request: TenantRequest, pk: UUID) -> HttpResponse:
    action = get_object_or_404(Action.objects.for_tenant(request.tenant), pk=pk)
    reason = request.POST.get("reason", "")[:4000]
    try:
        undone = by_hand.reverse(action, reason=reason, by=request.caller.actor, now=clock.now())
    except NotReversible as refused:
        return _refused(request, action, str(refused))
    except Conflict as conflict:
        return _refused(request, action, conflict.why, differences(conflict))
    return htmx.go(request, url_of("actions:detail", args=[undone.pk]), toast=Toast("Reversed."))


def differences(conflict: Conflict) -> tuple[Difference, ...]:
    names = dict.fromkeys([*conflict.found, *conflict.wanted])
    return tuple(
        Difference(
            name.replace("_", " "), _said(conflict.found, name), _said(conflict.wanted, name)
        )
        for name in names
    )


def _said(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return {None: "–", "": "–", True: "yes", False: "no"}.get(value, str(value))


def _refused(
    request: TenantRequest, action: Action, why: str, found: tuple[Difference, ...] = ()
) -> HttpResponse:
    """With the status of a conflict, where the button was; without JavaScript as a page of its own."""
    template = "actions/_conflict.html" if htmx.is_htmx(request) else "actions/conflict.html"
    url = url_of("actions:detail", args=[action.pk])
    context = {"why": why, "differences": found, "action_url": url, "here": "actions"}
    return render(request, template, context, status=409)
