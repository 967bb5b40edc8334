"""Questions asked of incidents and runs; all chain after `for_tenant`."""

from functools import cache
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.db.models import F, Q

from incidents.states import CLOSED, OPEN, UNRECOVERED, RunState
from tenants.querysets import TenantQuerySet

if TYPE_CHECKING:
    from incidents.models import Incident, Run  # noqa: F401  # named in the type arguments below


LISTED = {
    "workflow": {"slug"},
    "vendor": {"name"},
    "assignee": {"username", "first_name", "last_name"},
}


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
        return self.for_page().defer(*_unlisted(self.model))

    def for_page(self) -> Self:
        """The incident and whole what it names, in one query."""
        return self.select_related(*LISTED)


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


@cache
def _unlisted(incident: Any) -> tuple[str, ...]:
    """What a row does not show of that which the incident names: fifty rows are read faster without it."""
    return tuple(
        f"{name}__{field.name}"
        for name, shown in LISTED.items()
        for field in incident._meta.get_field(name).related_model._meta.concrete_fields
        if not field.primary_key and field.name not in shown
    )
