"""Who may do what: roles and scopes as data, and the decorator that every console view carries.

An operator may act and approve: in a small team whoever is on duty is the second pair of eyes. What keeps people
apart is that nobody approves their own request, and how many the tenant wants to agree. An approver only approves, so
that a second pair of eyes need not be given the tools. An auditor reads everything, what people did included, and
changes nothing.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect

from tenants.journal import Actor
from tenants.scoping import bound
from tenants.states import Role, Scope

VIEW = frozenset({"view"})
TRIAGE = frozenset(
    {
        "acknowledge",
        "assign",
        "snooze",
        "comment",
        "undo",
        "bulk",
        "resolve",
        "ignore",
        "escalate",
        "reopen",
        "merge",
        "split",
        "waive",
        "stop",
        "act",
        "approve",
    }
)
CONFIGURE = frozenset({"configure", "stop"})
AUDIT = frozenset({"audit", "export"})  # who did what, and taking the tenant's data along
ADMINISTER = frozenset({"administer"})  # members and API keys: people only, never a key

ROLE_VERBS: dict[str, frozenset[str]] = {
    Role.VIEWER: VIEW,
    Role.AUDITOR: VIEW | AUDIT,
    Role.OPERATOR: VIEW | TRIAGE,
    Role.APPROVER: VIEW | frozenset({"approve"}),
    Role.ADMIN: VIEW | TRIAGE | CONFIGURE | AUDIT | ADMINISTER,
}
SCOPE_VERBS: dict[str, frozenset[str]] = {
    Scope.EVENTS_WRITE: frozenset({"ingest"}),
    Scope.READ: VIEW,
    Scope.OPERATE: TRIAGE - {"stop"},
    Scope.CONFIGURE: CONFIGURE | {"audit"},
}


@dataclass(frozen=True)
class TenantRef:
    """The tenant of the request, as read before any block was open."""

    id: UUID
    name: str
    slug: str


@dataclass(frozen=True)
class Caller:
    """Who is calling, for which tenant, and what they may do there."""

    actor: Actor
    tenant: TenantRef
    verbs: frozenset[str]
    role: str = ""  # of a person; a key has scopes
    user_id: int | None = None
    key_id: UUID | None = None
    rate_per_second: float | None = None
    burst: int | None = None

    def may(self, verb: str) -> bool:
        return verb in self.verbs


class TenantRequest(HttpRequest):
    """A request that `requires` let through: it has a caller and a tenant (typing only)."""

    caller: Caller
    tenant: TenantRef
    correlation_id: str


View = Callable[..., HttpResponseBase]


def requires(verb: str, *, in_block: bool = True) -> Callable[[View], View]:
    """Let only callers with `verb` in, and run and render the whole view in the tenant's block.

    Not `in_block`: the view enters it where it reads.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            caller: Caller | None = request.caller
            if caller is None:
                return redirect("tenants:no-tenant")
            if not caller.may(verb):
                raise PermissionDenied
            with bound(caller.tenant.id) if in_block else nullcontext():
                response = view(request, *args, **kwargs)
                if isinstance(response, HttpResponse) and hasattr(response, "render"):
                    response.render()
            return response

        guarded.verb = verb  # type: ignore[attr-defined]  # read by the access matrix
        return guarded

    return decorate
