"""The only place that tells htmx requests from plain ones, so that every page works both ways."""

import json
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme


@dataclass(frozen=True)
class Toast:
    """One line for the person who acted."""

    text: str
    kind: str = "good"
    undo: str = ""  # where a POST takes it back


def is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def target_id(request: HttpRequest) -> str:
    """The id of the element that the answer will replace (htmx 4 sends `tag#id`)."""
    return request.headers.get("HX-Target", "").partition("#")[2]


def say(response: HttpResponse, toast: Toast) -> HttpResponse:
    """Let the page show `toast` once this answer has arrived."""
    return trigger(response, "toast", {"text": toast.text, "kind": toast.kind, "undo": toast.undo})


def trigger(response: HttpResponse, name: str, detail: dict[str, Any]) -> HttpResponse:
    """Add a browser event to what the answer triggers."""
    events = json.loads(response.headers.get("HX-Trigger", "{}"))
    response.headers["HX-Trigger"] = json.dumps(events | {name: detail})
    return response


def partial(
    request: HttpRequest, template: str, context: dict[str, Any], *, toast: Toast, status: int = 200
) -> HttpResponse:
    """A re-rendered partial and what to say about it."""
    return say(render(request, template, context, status=status), toast)


def go(request: HttpRequest, to: str, *, toast: Toast | None = None) -> HttpResponse:
    """Send the person to another page; `toast` waits for them there."""
    if toast is not None:
        messages.add_message(
            request,
            messages.SUCCESS if toast.kind == "good" else messages.ERROR,
            toast.text,
            extra_tags=toast.undo,
        )
    if is_htmx(request):
        return HttpResponse(headers={"HX-Redirect": to})
    return redirect(to)


def back_to(request: HttpRequest, fallback: str) -> str:
    """The page that the form came from, if it is ours."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if is_ours else fallback


def told(*, toast: Toast, status: int = 200) -> HttpResponse:
    """Nothing to swap in: the page says the toast and reads again what it shows."""
    return trigger(say(HttpResponse(status=status), toast), "page:stale", {})
