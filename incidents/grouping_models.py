"""What decides which failures belong together, and how many there were: outcome rules, templates, aliases, hours."""

from typing import ClassVar

from django.db import models

from incidents.states import Outcome
from tenants.models import TenantKey, TenantOwned, Workflow


class Template(TenantOwned):
    """What the texts of a workflow's failures have in common. `key` never changes, `tokens` generalise."""

    workflow = TenantKey(Workflow, related_name="templates")
    key = models.CharField(max_length=16)
    leaf = models.CharField(max_length=80)
    tokens = models.JSONField()

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(
                fields=["tenant", "workflow", "key"], name="one_template_per_key"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # the digest loads the leaves its texts fall into
            models.Index(fields=["tenant", "workflow", "leaf", "id"], name="template_of_leaf")
        ]

    def __str__(self) -> str:
        return " ".join(self.tokens)


class SignatureAlias(TenantOwned):
    """A merge that sticks: failures of `signature` are counted as those of `counts_as`; a split removes it."""

    signature = models.CharField(max_length=32)
    counts_as = models.CharField(max_length=32)
    created_at = models.DateTimeField()

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(fields=["tenant", "signature"], name="one_alias_per_signature"),
            models.CheckConstraint(
                condition=~models.Q(signature=models.F("counts_as")), name="alias_of_another"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["tenant", "counts_as"], name="alias_by_target")
        ]

    def __str__(self) -> str:
        return f"{self.signature} counts as {self.counts_as}"


class IncidentHour(TenantOwned):
    """Events of an incident in one hour, by when they happened; the digest counts, nobody scans events."""

    incident = TenantKey("incidents.Incident", related_name="hours")
    hour = models.DateTimeField()
    n_events = models.PositiveBigIntegerField()

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(
                fields=["tenant", "incident", "hour"], name="one_row_per_incident_hour"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.n_events} at {self.hour:%Y-%m-%d %H}h"


class OutcomeRule(TenantOwned):
    """A tenant's own word on what an event reports, asked in order before what is shipped.

    Every condition that is given must hold; at least one is given.
    """

    position = models.PositiveIntegerField(default=100)
    event_type = models.CharField(max_length=255, blank=True)
    status = models.CharField(max_length=100, blank=True)
    error_code = models.CharField(max_length=200, blank=True)
    payload_path = models.CharField(max_length=200, blank=True)
    payload_value = models.CharField(max_length=200, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    reason = models.CharField(max_length=4000)
    is_enabled = models.BooleanField(default=True)
    created_by = models.CharField(max_length=200, editable=False)
    created_at = models.DateTimeField(editable=False)

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.CheckConstraint(
                condition=models.Q(outcome__in=Outcome.values), name="outcome_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["tenant", "position", "id"], name="outcome_rules_in_order")
        ]

    def __str__(self) -> str:
        return f"{self.position}: {self.outcome}"
