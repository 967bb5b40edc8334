"""The only context processor of the console: what the frame around every page shows, read when it is shown."""

from functools import cached_property
from typing import Any

from django.http import HttpRequest

from tenants import scoping
from tenants.access import Caller, TenantRef
from tenants.models import Membership


class Shell:
    """Lazy, because pages without the frame (sign-in, the admin) must not pay for it."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._caller: Caller | None = getattr(request, "caller", None)

    @property
    def tenant(self) -> TenantRef | None:
        return self._caller.tenant if self._caller else None

    @cached_property
    def role(self) -> str:
        if not self._is_inside or self.tenant is None or self._caller is None:
            return ""
        mine = Membership.objects.for_tenant(self.tenant).filter(user_id=self._caller.user_id or 0)
        return str(mine.values_list("role", flat=True).first() or "").capitalize()

    @property
    def person(self) -> str:
        return self._caller.actor.label if self._caller else ""

    @property
    def may_stop(self) -> bool:
        return self._caller is not None and self._caller.may("stop")

    @property
    def may_configure(self) -> bool:
        """Rule overrides and kill switches are the tenant admin's too, not only the staff's."""
        is_admin = self._caller is not None and self._caller.may("configure")
        return is_admin or bool(getattr(self._request.user, "is_superuser", False))

    @property
    def _is_inside(self) -> bool:
        """Whether the tenant's block is open: outside of it Postgres answers nobody."""
        block = scoping.current()
        return self.tenant is not None and block is not None and block.tenant_id == self.tenant.id


def console(request: HttpRequest) -> dict[str, Any]:
    return {"shell": Shell(request)}
