"""Console pages of incidents. Every view takes `above`: what the layer above knows, passed in by the routes."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from django import forms
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.htmx import Toast
from awfdrs_site.lib.problems import Problem
from incidents import console, detail_page, lifecycle
from incidents.console import Reader
from incidents.forms import FilterForm, ReasonForm, ResolveForm
from incidents.lifecycle import TransitionRefused, UnrecoveredRuns
from incidents.models import Incident
from incidents.presentation.shapes import NOTHING_ABOVE, Above
from tenants.access import TenantRequest, requires

HINTS_AT_ONCE = (
    200  # the page asks for this many rows; more hints than that come in a second answer
)
PAGE_NUMBER = re.compile(r"\d{1,7}", re.ASCII)
FIRST_EVENT = """\
curl -X POST {origin}/api/v1/events \\
  -H 'Authorization: Bearer awf_…' -H 'Content-Type: application/json' \\
  -d '{{"workflow": "billing", "event_type": "payment.failed", "occurred_at": "{now}",
       "payload": {{"error_code": "payment_timeout", "run_id": "run-1"}}}}'"""


@require_safe
@requires("view")
def incident_list(request: TenantRequest, above: Above = NOTHING_ABOVE) -> HttpResponse:
    reader, filters = _reader(request, above), _filters(request)
    tabs = console.tabs(reader, filters.current_tab)
    counts = {tab.slug: tab.count for tab in tabs}
    counted = None if filters.is_filtered else counts[filters.current_tab]
    page = console.page(reader, filters, _number(request), counted=counted)
    context = {
        "page": page,
        "tabs": tabs,
        "filters": filters,
        "choices": filters.choices,
        "is_filtered": filters.is_filtered,
        "clear_url": f"{reverse('incidents:list')}?tab={filters.current_tab}",
        "tab": filters.current_tab,
        "n_open": counts["open"],
        **({} if page.rows else _first_steps(request, reader)),
    }
    return render(request, "incidents/list.html", _page(reader, context))


@require_safe
@requires("view")
def live_rows(request: TenantRequest, above: Above = NOTHING_ABOVE) -> HttpResponse:
    """The rows that hints named, each marked for its own place, and which of them fit the view."""
    reader, filters = _reader(request, above), _filters(request)
    ids = _ids(request.GET.get("ids", ""))
    found = console.matching(reader, filters)
    if "peek" in request.GET:  # after a pause: whatever is on the first page now
        ids |= set(found.values_list("pk", flat=True)[: console.PAGE_SIZE])
    staying = set(found.filter(pk__in=ids).order_by().values_list("pk", flat=True))
    incidents = Incident.objects.for_tenant(request.tenant).filter(pk__in=ids).for_list()
    context = {
        "rows": console.rows_of(reader, list(incidents), staying=staying),
        "tabs": console.tabs(reader, filters.current_tab),
    }
    response = render(request, "incidents/_live.html", _page(reader, context))
    return htmx.trigger(response, "incidents:arrived", {"ids": sorted(map(str, staying))})


@require_safe
@requires("view")
def detail(request: TenantRequest, pk: UUID, above: Above = NOTHING_ABOVE) -> HttpResponse:
    incident = _get(request, pk)
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
    incident, form = _get(request, pk), form_class(request.POST)
    if not form.is_valid():
        return _answer(
            request, incident, above, Toast("Say why, in at most 4,000 characters.", "bad"), 422
        )
    try:
        verb(incident, by=request.caller.actor, now=clock.now(), **form.cleaned_data)
    except TransitionRefused as refusal:
        return _answer(request, _get(request, pk), above, Toast(str(refusal), "bad"), 409)
    except UnrecoveredRuns as refusal:
        text = f"{refusal} Open {incident} and say why you give them up."
        return _answer(request, incident, above, Toast(text, "bad"), 409)
    return _answer(request, _get(request, pk), above, Toast(f"{incident} {done}"))


def _answer(
    request: TenantRequest, incident: Incident, above: Above, toast: Toast, status: int = 200
) -> HttpResponse:
    """To a row its row, to the incident page its body, to a plain form the page it came from."""
    if not htmx.is_htmx(request):
        return htmx.go(request, htmx.back_to(request, incident.get_absolute_url()), toast=toast)
    if htmx.target_id(request) == "incident":
        context = _detail_context(request, incident, above)
        return htmx.partial(request, "incidents/_detail.html", context, toast=toast, status=status)
    reader = _reader(request, above)
    context = _page(reader, {"row": console.rows_of(reader, [incident])[0]})
    return htmx.partial(request, "incidents/_row.html", context, toast=toast, status=status)


def _detail_context(request: TenantRequest, incident: Incident, above: Above) -> dict[str, Any]:
    reader = _reader(request, above)
    shown = detail_page.detail(reader, incident, allowed=request.caller.verbs, span=_span(request))
    return _page(reader, {"incident": shown})


def _span(request: TenantRequest) -> str:
    """How far back the chart looks: as the address says, which an answer to a verb keeps."""
    asked = request.GET.get("span", "")
    if asked and asked not in detail_page.SPANS:
        raise Problem("validation_failed", "Unknown filter: span.")
    page = parse_qs(urlsplit(request.headers.get("HX-Current-URL", "")).query)
    kept = page.get("span", [""])[-1]
    return asked or (kept if kept in detail_page.SPANS else "")


def _page(reader: Reader, context: dict[str, Any]) -> dict[str, Any]:
    return {"here": "incidents", "now": reader.now} | context


def _reader(request: TenantRequest, above: Above) -> Reader:
    return Reader(tenant_id=request.tenant.id, now=clock.now(), above=above)


def _filters(request: TenantRequest) -> FilterForm:
    """A filter that means nothing is refused: an empty list would read as "all clear"."""
    filters = FilterForm(request.GET, tenant_id=request.tenant.id)
    if not filters.is_valid():
        raise Problem("validation_failed", f"Unknown filter: {', '.join(filters.errors)}.")
    return filters


def _number(request: TenantRequest) -> int:
    """A page that means nothing is the first; which are beyond the end, the list knows."""
    asked = request.GET.get("page", "")
    return max(1, int(asked)) if PAGE_NUMBER.fullmatch(asked) else 1


def _ids(text: str) -> set[UUID]:
    try:
        return {UUID(part) for part in text.split(",")[:HINTS_AT_ONCE] if part}
    except ValueError:
        raise Problem("validation_failed", "Not a list of ids.") from None


def _get(request: TenantRequest, pk: UUID) -> Incident:
    found: Incident = get_object_or_404(
        Incident.objects.for_tenant(request.tenant).for_list(), pk=pk
    )
    return found


def _first_steps(request: TenantRequest, reader: Reader) -> dict[str, Any]:
    """What an empty list says depends on whether there ever was an incident."""
    seen = Incident.objects.for_tenant(request.tenant).exists()
    origin = request.build_absolute_uri("/").rstrip("/")
    now = reader.now.isoformat(timespec="seconds")
    return {"is_first": not seen, "curl": FIRST_EVENT.format(origin=origin, now=now)}
