"""Questions asked of incidents and runs; all chain after `for_tenant`."""

from typing import TYPE_CHECKING, Self
from uuid import UUID

from django.db.models import F, Q

from incidents.states import CLOSED, OPEN, UNRECOVERED, RunState
from tenants.querysets import TenantQuerySet

if TYPE_CHECKING:
    from incidents.models import Incident, Run  # noqa: F401  # named in the type arguments below


class IncidentQuerySet(TenantQuerySet["Incident"]):
    def open(self) -> Self:
        return self.filter(status__in=OPEN)

    def closed(self) -> Self:
        return self.filter(status__in=CLOSED)

    def newest_first(self) -> Self:
        return self.order_by("-last_seen_at", "-id")

    def with_members(self, *incident_ids: UUID) -> Self:
        """These, and what was merged into them."""
        return self.filter(Q(pk__in=incident_ids) | Q(merged_into__in=incident_ids))

    def for_list(self) -> Self:
        """What a row shows, in one query."""
        return self.select_related("workflow", "vendor", "assignee")


class RunQuerySet(TenantQuerySet["Run"]):
    def of_incident(self, incident_id: UUID) -> Self:
        # the ledger's index begins with the tenant, whom the wall alone does not name to it
        return self.filter(
            affected_by__incident_id=incident_id, affected_by__tenant_id=F("tenant_id")
        )

    def unrecovered(self) -> Self:
        return self.filter(state__in=UNRECOVERED)

    def unplanned(self) -> Self:
        return self.filter(state=RunState.FAILED, planned_at=None)

    def newest_first(self) -> Self:
        return self.order_by("-last_failed_at", "-id")
