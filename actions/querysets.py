"""Questions asked of actions; all chain after `for_tenant`."""

from typing import TYPE_CHECKING, Any, Self

from django.db.models import Prefetch

from tenants.querysets import TenantQuerySet

if TYPE_CHECKING:
    from actions.models import Action  # noqa: F401  # named in the type argument below
    from incidents.querysets import IncidentQuerySet


class ActionQuerySet(TenantQuerySet["Action"]):
    def newest_first(self) -> Self:
        return self.order_by("-id")

    def shown_on(self, incidents: "IncidentQuerySet") -> Self:
        """Those of these incidents; `with_members` says which an incident shows."""
        return self.filter(incident__in=incidents.values("pk"))

    def for_list(self) -> Self:
        """What a row shows, in one query."""
        return self.select_related("workflow", "vendor", "run", "incident")

    def with_attempts(self) -> Self:
        attempts: Any = self.model._meta.get_field("attempts").related_model
        mine = attempts.objects.for_tenant(self.tenant_id)
        return self.prefetch_related(Prefetch("attempts", mine.order_by("number")))
