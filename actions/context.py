"""What the frame around every page of the console shows of actions, read when it is shown."""

from functools import cached_property
from typing import Any
from uuid import UUID

from django.http import HttpRequest

from actions import approval_pages
from tenants import scoping
from tenants.access import Caller


class Asked:
    """How much waits for people. Outside the tenant's block Postgres answers nobody, so nothing is said."""

    def __init__(self, request: HttpRequest) -> None:
        caller: Caller | None = getattr(request, "caller", None)
        self._tenant_id: UUID | None = caller.tenant.id if caller else None

    @cached_property
    def n_approvals(self) -> int:
        block = scoping.current()
        if self._tenant_id is None or block is None or block.tenant_id != self._tenant_id:
            return 0
        return approval_pages.waiting(self._tenant_id)


def console(request: HttpRequest) -> dict[str, Any]:
    return {"asked": Asked(request)}
