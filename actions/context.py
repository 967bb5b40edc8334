"""What the frame around every page of the console shows of actions, read when it is shown."""

from functools import cached_property
from typing import Any
from uuid import UUID

from django.http import HttpRequest

from actions import approval_pages, holding, inbox
from awfdrs_site.lib import clock
from safety import killswitch
from safety import presentation as switches
from safety.presentation import SwitchLine
from tenants import scoping
from tenants.access import Caller


class Asked:
    """How much waits for people. Outside the tenant's block Postgres answers nobody, so nothing is said."""

    def __init__(self, request: HttpRequest) -> None:
        caller: Caller | None = getattr(request, "caller", None)
        self._tenant_id: UUID | None = caller.tenant.id if caller else None
        self._user_id = caller.user_id if caller else None

    @cached_property
    def n_approvals(self) -> int:
        if self._tenant_id is None or not self._is_inside:
            return 0
        return approval_pages.waiting(self._tenant_id)

    @cached_property
    def n_unread(self) -> int:
        """Messages to this person that they have not read."""
        if self._tenant_id is None or self._user_id is None or not self._is_inside:
            return 0
        return inbox.n_unread(inbox.Box(self._tenant_id, self._user_id))

    @cached_property
    def stopped(self) -> tuple[SwitchLine, ...]:
        """Every kill switch that is on, and how much each holds."""
        if self._tenant_id is None or not self._is_inside:
            return ()
        held = killswitch.active(self._tenant_id, now=clock.now())
        counts = holding.counts(self._tenant_id, held)
        return switches.active_lines(self._tenant_id, held, may_lift=False, counts=counts)

    @property
    def _is_inside(self) -> bool:
        block = scoping.current()
        return block is not None and block.tenant_id == self._tenant_id


def console(request: HttpRequest) -> dict[str, Any]:
    return {"asked": Asked(request)}
