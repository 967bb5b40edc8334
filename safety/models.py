"""What is allowed: rule overrides, circuit breakers, kill switches, vendor rate buckets."""

from typing import ClassVar

from django.db import models
from django.urls import reverse

from awfdrs_site.lib.ids import uuid7
from safety.limit_models import RulePause as RulePause
from safety.limit_models import VendorMinute as VendorMinute
from safety.states import BreakerStatus, Forced, RuleScope, SwitchScope
from safety.switch_models import SwitchRelease as SwitchRelease
from tenants.models import TenantKey, TenantOwned, Vendor


class RuleOverride(TenantOwned):
    """A tenant's differences from the shipped rules; append-only, the highest version counts."""

    scope = models.CharField(max_length=20, choices=RuleScope.choices)
    target = models.CharField(
        max_length=100, blank=True, help_text="Workflow slug, vendor, code or category."
    )
    values = models.JSONField(default=dict, blank=True)
    version = models.PositiveIntegerField(editable=False)
    author = models.CharField(max_length=200, editable=False)
    reason = models.CharField(max_length=4000)
    created_at = models.DateTimeField(editable=False)

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(
                fields=["tenant", "scope", "target", "version"], name="one_override_per_version"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.target} v{self.version}".replace("  ", " ")


class CircuitBreaker(TenantOwned):
    """The breaker of one vendor for one tenant; `breaker.py` is its only writer."""

    vendor = TenantKey(Vendor, related_name="breakers")
    state = models.CharField(
        max_length=10, choices=BreakerStatus.choices, default=BreakerStatus.CLOSED
    )
    failures = models.PositiveIntegerField(default=0)
    successes = models.PositiveIntegerField(default=0)
    epoch = models.PositiveBigIntegerField(default=0)
    open_count = models.PositiveIntegerField(default=0)
    opened_at = models.DateTimeField(null=True)
    open_until = models.DateTimeField(null=True)
    # The database's defaults too: workers of the release before insert rows while this one rolls out.
    opened_because = models.CharField(max_length=200, blank=True, default="", db_default="")
    closed_at = models.DateTimeField(null=True)
    probes = models.JSONField(default=dict)
    slow_probes = models.PositiveIntegerField(default=0, db_default=0)
    window = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    forced = models.CharField(max_length=15, choices=Forced.choices, blank=True)
    forced_until = models.DateTimeField(null=True)
    forced_reason = models.CharField(max_length=4000, blank=True)
    version = models.PositiveBigIntegerField(default=1)

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(fields=["tenant", "vendor"], name="one_breaker_per_vendor"),
            models.CheckConstraint(
                condition=models.Q(state__in=BreakerStatus.values), name="breaker_state_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # reset_circuit_breakers: the open ones that are due
            models.Index(
                fields=["open_until"], condition=models.Q(state="open"), name="breaker_due_reset"
            )
        ]

    def __str__(self) -> str:
        return f"breaker of {self.vendor}"


class Switch(models.Model):
    """What every kill switch says: why, until when, and who set and lifted it."""

    reason = models.CharField(max_length=4000)
    activated_at = models.DateTimeField(editable=False)
    activated_by = models.CharField(max_length=200, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    lifted_at = models.DateTimeField(null=True, blank=True, editable=False)
    lifted_by = models.CharField(max_length=200, blank=True, editable=False)
    lift_reason = models.CharField(max_length=4000, blank=True, editable=False)
    version = models.PositiveBigIntegerField(default=1, editable=False)

    class Meta:
        abstract = True


class KillSwitch(TenantOwned, Switch):
    """Holds the actions of one tenant, workflow, vendor or kind; parks them, never refuses evidence."""

    scope = models.CharField(max_length=20, choices=SwitchScope.choices)
    target = models.CharField(
        max_length=100,
        blank=True,
        help_text="Id of the workflow or vendor, or the action type; empty for the tenant.",
    )

    class Meta(TenantOwned.Meta):
        verbose_name_plural = "kill switches"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(
                fields=["tenant", "scope", "target"],
                condition=models.Q(lifted_at=None),
                name="one_active_switch_per_target",
            ),
            models.CheckConstraint(
                condition=models.Q(scope__in=SwitchScope.values), name="switch_scope_known"
            ),
        ]

    def __str__(self) -> str:
        return f"kill switch {self.scope} {self.target}".rstrip()

    def get_absolute_url(self) -> str:
        return reverse("safety:kill-switches")


class GlobalKillSwitch(Switch):
    """Holds every action of every tenant; only platform staff set and lift it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)

    class Meta:
        verbose_name_plural = "global kill switches"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                models.Value(1), condition=models.Q(lifted_at=None), name="one_active_global_switch"
            )
        ]

    def __str__(self) -> str:
        return "global kill switch"


class VendorBucket(TenantOwned):
    """The theoretical arrival time (GCRA) of calls to one vendor, shared by all workers."""

    vendor = TenantKey(Vendor, related_name="+")
    arrival_at = models.DateTimeField()

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(fields=["tenant", "vendor"], name="one_bucket_per_vendor"),
        ]

    def __str__(self) -> str:
        return f"bucket of {self.vendor}"


class VendorSecond(TenantOwned):
    """Calls to a vendor that workflows reported in one second; `budget.py` writes the 60 rows in turn."""

    vendor = TenantKey(Vendor, related_name="+")
    slot = models.PositiveSmallIntegerField()  # of the minute
    at = models.DateTimeField()
    originals = models.PositiveIntegerField()

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(
                fields=["tenant", "vendor", "slot"], name="one_row_per_second_of_the_minute"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.originals} calls to {self.vendor}"
