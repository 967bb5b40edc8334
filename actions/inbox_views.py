"""The console page of what a person was told: their own messages, of the tenant they look at."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from actions import inbox, inbox_pages
from actions.inbox import Box
from awfdrs_site.lib import clock, htmx
from awfdrs_site.lib.htmx import Toast
from awfdrs_site.lib.problems import Problem
from tenants.access import TenantRequest, requires

PAGES_MOST = 1000


class InboxForm(forms.Form):
    page = forms.IntegerField(required=False, min_value=1, max_value=PAGES_MOST)
    tab = forms.ChoiceField(required=False, choices=list(inbox_pages.TABS.items()))


class ReadAllForm(forms.Form):
    until = forms.UUIDField()


@require_safe
@requires("view")
def messages(request: TenantRequest) -> HttpResponse:
    template = "inbox/_rows.html" if htmx.is_htmx(request) else "inbox/list.html"
    return render(request, template, _context(request))


@require_POST
@requires("view")
def read(request: TenantRequest, pk: UUID) -> HttpResponse:
    if not inbox.read(_box(request), pk, now=clock.now()):
        raise Http404
    return _answer(request, Toast("Read."))


@require_POST
@requires("view")
def read_all(request: TenantRequest) -> HttpResponse:
    form = ReadAllForm(request.POST)
    if not form.is_valid():
        return _answer(request, Toast("Nothing to mark as read.", "bad"))
    count = inbox.read_all(_box(request), now=clock.now(), **form.cleaned_data)
    return _answer(request, Toast(f"{count} read." if count else "All was read already."))


def _box(request: TenantRequest) -> Box:
    user_id = request.caller.user_id
    assert user_id is not None, "pages are for people"
    return Box(request.tenant.id, user_id)


def _answer(request: TenantRequest, toast: Toast) -> HttpResponse:
    if not htmx.is_htmx(request):
        return htmx.go(request, htmx.back_to(request, reverse("actions:inbox")), toast=toast)
    return htmx.partial(request, "inbox/_rows.html", _context(request), toast=toast)


def _context(request: TenantRequest) -> dict[str, Any]:
    form = InboxForm(request.GET)
    if not form.is_valid():  # an empty list would read as "nothing was said"
        raise Problem("validation_failed", f"Unknown filter: {', '.join(form.errors)}.")
    tab, number = form.cleaned_data["tab"] or "all", form.cleaned_data["page"] or 1
    query = urlencode({"tab": tab, "page": number})
    return {
        "page": inbox_pages.page(_box(request), number, tab=tab),
        "tabs": inbox_pages.tabs(tab),
        "tab": tab,
        "query": query,
        "here_url": f"{reverse('actions:inbox')}?{query}",
        "here": "inbox",
        "now": clock.now(),
    }
