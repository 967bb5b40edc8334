"""The only tables of what happened, not of what is allowed: calls by the minute, and rules that went too far."""

from typing import ClassVar

from django.db import models

from tenants.models import TenantKey, TenantOwned, Vendor


class VendorMinute(TenantOwned):
    """Calls to a vendor in one minute, by who made them; `budget.py` writes the 60 rows in turn."""

    vendor = TenantKey(Vendor, related_name="+")
    slot = models.PositiveSmallIntegerField()  # of the hour
    at = models.DateTimeField()
    originals = models.PositiveIntegerField(default=0, db_default=0)
    retries = models.PositiveIntegerField(default=0, db_default=0)
    campaign_calls = models.PositiveIntegerField(default=0, db_default=0)

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(
                fields=["tenant", "vendor", "slot"], name="one_row_per_minute_of_the_hour"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.originals} calls to {self.vendor}, {self.retries} retries"


class RulePause(TenantOwned):
    """A rule that set off more than it may: until a person resumes it, each of its retries needs one."""

    rule = models.CharField(
        max_length=210, help_text="What lets the retries go: a code or category."
    )
    reason = models.CharField(max_length=300)
    paused_at = models.DateTimeField(editable=False)
    resumed_at = models.DateTimeField(null=True, blank=True, editable=False)
    resumed_by = models.CharField(max_length=200, blank=True, editable=False)
    resume_reason = models.CharField(max_length=4000, blank=True, editable=False)
    version = models.PositiveBigIntegerField(default=1, editable=False)

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(
                fields=["tenant", "rule"],
                condition=models.Q(resumed_at=None),
                name="one_pause_per_rule",
            ),
        ]

    def __str__(self) -> str:
        return self.rule
