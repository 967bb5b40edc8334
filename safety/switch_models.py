"""The only table of what kill switches let go: how fast, whose place is next, and who started just now."""

from typing import ClassVar

from django.db import models

from tenants.models import TenantOwned

RELEASE_PER_SECOND = 5  # unless whoever lifts it says otherwise; what expires lets go as fast
FASTEST_RELEASE = 100  # a second: each start writes the times of as many before it


class SwitchRelease(TenantOwned):
    """What one switch, of the tenant or of the platform, held of this tenant and gives back in turn."""

    switch_id = models.UUIDField()
    per_second = models.PositiveSmallIntegerField(default=RELEASE_PER_SECOND)
    next_at = models.DateTimeField()
    recent = models.JSONField(default=list)  # when the last `per_second` of them started

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(fields=["tenant", "switch_id"], name="one_release_per_switch"),
        ]

    def __str__(self) -> str:
        return f"release of {self.switch_id} at {self.per_second}/s"
