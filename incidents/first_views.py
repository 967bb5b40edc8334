"""Console pages of a tenant that nothing was ever sent to: a key to begin with, and whether something came."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from awfdrs_site.lib import clock, htmx
from incidents import first_event
from incidents.presentation.shapes import NOTHING_ABOVE, Above
from tenants import keys, members
from tenants.access import TenantRequest, requires
from tenants.states import Scope

KEY_NAME = "First events"


@require_safe
@requires("view")
def waiting(request: TenantRequest, above: Above = NOTHING_ABOVE) -> HttpResponse:
    """The line that asks again until an incident is open."""
    return render(
        request, "incidents/_first_line.html", {"came": first_event.came(request.tenant.id)}
    )


@never_cache
@require_POST
@requires("administer")
def first_key(request: TenantRequest, above: Above = NOTHING_ABOVE) -> HttpResponse:
    """A key that may only send, filled into what is to be pasted; nobody can show it again."""
    now = clock.now()
    made = keys.make(
        request.tenant.id,
        name=KEY_NAME,
        scopes=[Scope.EVENTS_WRITE],
        expires_at=None,
        by=request.caller.actor,
        now=now,
    )
    template = "incidents/_first.html" if htmx.is_htmx(request) else "incidents/first.html"
    return render(request, template, context(request, token=made.token), status=201)


def context(request: TenantRequest, *, token: str = "") -> dict[str, Any]:
    now, origin = clock.now(), request.build_absolute_uri("/").rstrip("/")
    may_make_key = request.caller.may("administer")
    return {
        "ways": first_event.ways(origin=origin, token=token, now=now),
        "token": token,
        "may_make_key": may_make_key,
        # A key is shown once: a page that comes again makes no other unless it is asked to.
        "fills_itself": may_make_key and not keys.is_made(request.tenant.id, name=KEY_NAME),
        "admins": () if may_make_key else members.admins(request.tenant.id),
        "came": first_event.came(request.tenant.id),
        "here": "incidents",
        "now": now,
    }
