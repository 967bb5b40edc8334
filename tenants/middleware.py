"""Resolves the caller of every request before any view: the key or session decides the tenant."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from awfdrs_site.lib.problems import Problem
from tenants import auth, preferences

# Nobody is asked who they are here: probes must answer while the database does not.
OPEN_PATHS = ("/api/v1/health", "/metrics", "/static/", "/api/schema", "/docs", "/redoc")
CALLER = "awfdrs.caller"  # in the ASGI scope


class TenantMiddleware:
    """Sets `request.caller` and `request.tenant`; a refusal is kept for the view's own error shape."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponse:
        request.caller = request.tenant = request.caller_refusal = None
        if not request.path.startswith(OPEN_PATHS):
            self._resolve(request)
            # the lane in front asks whom Django let in
            getattr(request, "scope", {})[CALLER] = request.caller
        tenant_id = str(request.tenant.id) if request.tenant else None
        with structlog.contextvars.bound_contextvars(tenant_id=tenant_id), _clock_of(request):
            return self.get_response(request)

    def _resolve(self, request: Any) -> None:
        is_api = request.path.startswith("/api/")
        try:
            if is_api and "Authorization" in request.headers:
                request.caller = auth.caller_of_key(request.headers["Authorization"])
            else:
                asked = request.GET.get("tenant_id", "") if is_api else ""
                request.caller = auth.caller_of_session(request, asked_tenant=asked)
        except Problem as refusal:
            request.caller_refusal = refusal
        if request.caller is not None:
            request.tenant = request.caller.tenant


def _clock_of(request: Any) -> AbstractContextManager[object]:
    """Pages show times where the person is; the API knows UTC alone."""
    if request.caller is None or request.caller.user_id is None or request.path.startswith("/api/"):
        return nullcontext()
    return timezone.override(preferences.zone_of(request))
