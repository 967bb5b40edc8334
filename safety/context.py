"""The only context processor of the console: what the frame around every page shows, read when it is shown."""

from typing import Any

from django.http import HttpRequest

from tenants.access import Caller, TenantRef


class Shell:
    """Lazy, because pages without the frame (sign-in, the admin) must not pay for it."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._caller: Caller | None = getattr(request, "caller", None)

    @property
    def tenant(self) -> TenantRef | None:
        return self._caller.tenant if self._caller else None

    @property
    def role(self) -> str:
        return self._caller.role.capitalize() if self._caller else ""

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


def console(request: HttpRequest) -> dict[str, Any]:
    return {"shell": Shell(request)}
