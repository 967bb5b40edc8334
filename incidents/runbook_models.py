"""What a tenant's people write down to be done about failures, and what of it they have done."""

from typing import ClassVar

from django.db import models

from tenants.models import TenantKey, TenantOwned, Workflow


class Runbook(TenantOwned):
    """What to do when a workflow fails; with a signature, when it fails so. The journal has every version."""

    workflow = TenantKey(Workflow, related_name="runbooks")
    signature = models.CharField(max_length=32, blank=True)
    text = models.TextField(blank=True)  # Markdown; empty is as if there were none
    version = models.PositiveBigIntegerField(default=1)
    written_by = models.CharField(max_length=200)
    written_at = models.DateTimeField()

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(
                fields=["tenant", "workflow", "signature"], name="one_runbook_per_failure"
            ),
        ]

    def __str__(self) -> str:
        return f"runbook of {self.workflow}"


class StepTick(TenantOwned):
    """A step of a runbook that somebody did for an incident; `step` stands for its words."""

    incident = TenantKey("incidents.Incident", related_name="+")
    step = models.CharField(max_length=32)
    text = models.CharField(max_length=500)  # as it was when it was done
    ticked_by = models.CharField(max_length=200)
    ticked_at = models.DateTimeField()

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(
                fields=["tenant", "incident", "step"], name="one_tick_per_step"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.text} for {self.incident}"
