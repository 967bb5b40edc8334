"""Console pages of the incident list. Every view takes `above`: what the layer above knows, passed in by the routes."""

import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from awfdrs_site.lib import clock, htmx, live
from awfdrs_site.lib import ids as made_ids
from awfdrs_site.lib.problems import Problem
from awfdrs_site.lib.query import QueryError
from incidents import breakdown_page, console, first_views, list_page, live_page, query_complete
from incidents.console import Reader
from incidents.forms import FilterForm
from incidents.presentation.shapes import NOTHING_ABOVE, Above
from tenants.access import TenantRequest, requires

# the page asks for this many rows; more hints than that come in a second answer
HINTS_AT_ONCE = 200
Found = TypeVar("Found")
PAGE_NUMBER = re.compile(r"\d{1,7}", re.ASCII)


@require_safe
@requires("view")
def incident_list(request: TenantRequest, above: Above = NOTHING_ABOVE) -> HttpResponse:
    reader, filters = _reader(request, above), _filters(request)
    counts = console.counts(reader)
    context: dict[str, Any] = {
        "tabs": console.tabs(counts, filters.current_tab),
        "tab": filters.current_tab,
    }
    context["saved"] = list_page.saved(reader, list_page.address_of(filters))
    try:
        counted = None if filters.text else counts.get(filters.current_tab)
        page = console.page(reader, filters, _number(request), counted=counted)
    except QueryError as wrong:
        context["box"] = list_page.box(filters, wrong=wrong)
        return render(request, "incidents/list.html", _page(reader, context), status=422)
    context |= {"page": page, "box": list_page.box(filters), **_picking(request, reader)}
    if not page.rows:
        context |= list_page.empty(reader, filters, n_open=counts["open"])
        if context["empty"] == "first":
            context |= first_views.context(request)
    return render(request, "incidents/list.html", _page(reader, context))


@require_safe
@requires("view", in_block=False)
def live_rows(request: TenantRequest, above: Above = NOTHING_ABOVE) -> HttpResponse:
    """The rows that hints named, each marked for its own place, and which of them fit the view."""
    filters = _filters(request)
    ids = _ids(request.GET.get("ids", ""))
    news = _meant(
        lambda: live_page.news(
            partial(_reader, request, above),
            filters,
            ids,
            tenant_id=request.tenant.id,
            since=live.known_since(request),
            with_first_page="peek" in request.GET,  # after a pause
        )
    )
    context = {
        "now": news.now,
        "rows": news.rows,
        "tabs": console.tabs(news.counts, filters.current_tab),
        "picks": request.caller.may("bulk"),
    }
    response = render(request, "incidents/_live.html", context)
    return htmx.trigger(response, "incidents:arrived", {"ids": sorted(map(str, news.staying))})


@require_safe
@requires("view")
def facets(request: TenantRequest, above: Above = NOTHING_ABOVE) -> HttpResponse:
    """The values of the view with their counts: in a dialog, or on a page of their own."""
    reader, filters = _reader(request, above), _filters(request)
    context = {"facets": _meant(lambda: breakdown_page.facets(reader, filters))}
    template = "incidents/_facets.html" if htmx.is_htmx(request) else "incidents/facets.html"
    return render(request, template, _page(reader, context))


@require_safe
@requires("view")
def volume(request: TenantRequest, above: Above = NOTHING_ABOVE) -> HttpResponse:
    """The view's events by the hour: beside the list once it is read, or on a page of their own."""
    reader, filters = _reader(request, above), _filters(request)
    context = {
        "histogram": _meant(lambda: breakdown_page.volume(reader, filters)),
        "recovered": list_page.recovered(reader),
        "saved": list_page.saved_counts(reader),
        "oob": htmx.is_htmx(request),
    }
    template = "incidents/_panel.html" if htmx.is_htmx(request) else "incidents/volume.html"
    return render(request, template, _page(reader, context))


@require_safe
@requires("view")
def complete(request: TenantRequest, above: Above = NOTHING_ABOVE) -> HttpResponse:
    """What may be typed next in `q`, whose cursor stands at `at`."""
    text, at = request.GET.get("q", ""), request.GET.get("at", "")
    place = int(at) if PAGE_NUMBER.fullmatch(at) else len(text)
    asker = _reader(request, above).asker
    found = () if "\x00" in text else query_complete.suggestions(text, place, asker=asker)
    return render(request, "incidents/_complete.html", {"suggestions": found})


def _meant(read: Callable[[], Found]) -> Found:
    """What a panel reads: where the query means nothing, the page has said so."""
    try:
        return read()
    except QueryError as wrong:
        raise Problem("validation_failed", str(wrong)) from wrong


def _page(reader: Reader, context: dict[str, Any]) -> dict[str, Any]:
    return {"here": "incidents", "now": reader.now} | context


def _picking(request: TenantRequest, reader: Reader) -> dict[str, Any]:
    """For those who may do a verb to many rows: what "all that match" can mean of this view."""
    return {
        "picks": request.caller.may("bulk"),
        "view": request.GET.urlencode(),
        "through": made_ids.last_of(reader.now),
    }


def _reader(request: TenantRequest, above: Above, now: datetime | None = None) -> Reader:
    return Reader(
        tenant_id=request.tenant.id,
        now=now or clock.now(),
        above=above,
        user_id=request.caller.user_id,
    )


def _filters(request: TenantRequest) -> FilterForm:
    """A filter that means nothing is refused: an empty list would read as "all clear"."""
    filters = FilterForm(request.GET)
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
