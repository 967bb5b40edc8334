"""Questions asked of actions; all chain after `for_tenant`."""

from typing import TYPE_CHECKING, Self

from django.db.models import Prefetch

from tenants.querysets import TenantQuerySet

if TYPE_CHECKING:
    from actions.models import Action


class ActionQuerySet(TenantQuerySet["Action"]):
    def newest_first(self) -> Self:
        return self.order_by("-id")

    def for_list(self) -> Self:
        """What a row shows, in one query."""
        return self.select_related("workflow", "vendor", "run", "incident")

    def with_attempts(self) -> Self:
        from actions.models import Attempt

        return self.prefetch_related(Prefetch("attempts", Attempt.objects.order_by("number")))
