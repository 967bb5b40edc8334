"""Console pages of refused events: grouped by reason, read, cured and replayed; and the books of what came in."""

from functools import wraps
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.htmx import Toast
from awfdrs_site.lib.problems import Problem
from events import partitions, quarantine, quarantine_pages
from events.models import QuarantinedEvent
from events.quarantine_forms import PatchForm, QuarantineFilterForm
from tenants.access import TenantRequest, View, requires


def _on_any_day(view: View) -> View:
    """The first event of a day that nobody made: it is made outside the page's block, and all of that tried again."""

    @wraps(view)
    def tried(*args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(*args, **kwargs)
        except IntegrityError as error:
            if not partitions.is_missed(error):
                raise
        partitions.make_missed()
        return view(*args, **kwargs)

    return tried


@require_safe
@requires("view")
def quarantine_list(request: TenantRequest) -> HttpResponse:
    filters = QuarantineFilterForm(request.GET)
    if not filters.is_valid():  # an empty list would read as "nothing was refused"
        raise Problem("validation_failed", f"Unknown filter: {', '.join(filters.errors)}.")
    context = {
        "page": quarantine_pages.page(request.tenant.id, filters),
        "filters": filters.cleaned_data,
        "here": "quarantine",
        "now": clock.now(),
    }
    return render(request, "quarantine/list.html", context)


@require_safe
@requires("view")
def quarantine_detail(request: TenantRequest, pk: UUID) -> HttpResponse:
    return render(request, "quarantine/detail.html", _shown(request, _get(request, pk)))


@require_POST
@_on_any_day
@requires("act")
def replay(request: TenantRequest, pk: UUID) -> HttpResponse:
    kept, form = _get(request, pk), PatchForm(request.POST)
    if not form.is_valid():
        return render(request, "quarantine/detail.html", _shown(request, kept, form), status=422)
    outcome = quarantine.replay(
        kept, form.cleaned_data["patch"], by=request.caller.actor, now=clock.now(), durable=False
    )
    if isinstance(outcome, Problem):
        context = _shown(request, kept, form) | {"problem": outcome}
        return render(request, "quarantine/detail.html", context, status=422)
    return htmx.go(
        request, reverse("events:detail", args=[outcome.event_id]), toast=Toast("It is stored.")
    )


@require_safe
@requires("view")
def received(request: TenantRequest) -> HttpResponse:
    now = clock.now()
    books = quarantine_pages.books(request.tenant.id, now=now)
    return render(
        request, "quarantine/received.html", {"books": books, "here": "quarantine", "now": now}
    )


def _shown(
    request: TenantRequest, kept: QuarantinedEvent, form: PatchForm | None = None
) -> dict[str, Any]:
    return {
        "kept": kept,
        "line": quarantine_pages.line(kept),
        "body": quarantine_pages.body_text(kept),
        "form": form or PatchForm(),
        "may_act": request.caller.may("act"),
        "here": "quarantine",
        "now": clock.now(),
    }


def _get(request: TenantRequest, pk: UUID) -> QuarantinedEvent:
    mine = QuarantinedEvent.objects.for_tenant(request.tenant)
    found: QuarantinedEvent = get_object_or_404(mine, pk=pk)
    return found
