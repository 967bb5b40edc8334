"""What people's triage leaves behind: steps that can be taken back, and jobs over many incidents."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from incidents.states import BulkState, ItemState
from tenants.models import TenantKey, TenantOwned


class Undo(TenantOwned):
    """What one verb changed of an incident: the fields, as they were and as it left them."""

    incident = TenantKey("incidents.Incident", related_name="+")
    verb = models.CharField(max_length=30)
    before = models.JSONField()
    after = models.JSONField()
    actor_kind = models.CharField(max_length=10)
    actor_id = models.CharField(max_length=64, blank=True)
    at = models.DateTimeField()
    undone_at = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        indexes: ClassVar[list[models.Index]] = [
            # what the key z takes back: the latest of this person
            models.Index(
                fields=["tenant", "actor_kind", "actor_id", "-at"],
                condition=models.Q(undone_at=None),
                name="undo_of_actor",
            ),
            # what the API takes back: the latest of this incident
            models.Index(
                fields=["tenant", "incident", "-at"],
                condition=models.Q(undone_at=None),
                name="undo_of_incident",
            ),
            # the sweep that forgets
            models.Index(fields=["at"], name="undo_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} of {self.incident}"


class MergePart(TenantOwned):
    """What an incident counted before a merge, row by row, kept while that can be taken back."""

    step = TenantKey(Undo, related_name="+")
    incident = TenantKey("incidents.Incident", related_name="+")
    # none of the target's: it keeps its own
    link_ids = ArrayField(models.UUIDField(), default=list)
    run_ids = ArrayField(models.UUIDField(), default=list)
    # lines of the ledger and hours, each in the order of its ids
    line_ids = ArrayField(models.UUIDField(), default=list)
    line_run_ids = ArrayField(models.UUIDField(), default=list)
    hour_ids = ArrayField(models.UUIDField(), default=list)
    hours = ArrayField(models.DateTimeField(), default=list)
    hour_counts = ArrayField(models.BigIntegerField(), default=list)

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(
                fields=["tenant", "step", "incident"], name="one_part_per_incident"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.incident} before {self.step}"


class BulkJob(TenantOwned):
    """One verb for many incidents, chosen when it was asked for; worked by a sweep, in chunks."""

    verb = models.CharField(max_length=30)
    parameters = models.JSONField(default=dict)
    query = models.CharField(max_length=2000, blank=True)
    state = models.CharField(max_length=10, choices=BulkState.choices, default=BulkState.WORKING)
    actor_kind = models.CharField(max_length=10)
    actor_id = models.CharField(max_length=64, blank=True)
    actor_label = models.CharField(max_length=200)
    correlation_id = models.CharField(max_length=128, blank=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    undone_by = models.JSONField(null=True)  # who asked to take it back: kind, id, label
    lease_token = models.BigIntegerField(null=True)
    lease_until = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.CheckConstraint(
                condition=models.Q(state__in=BulkState.values), name="bulk_state_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # the sweep that works them
            models.Index(
                fields=["lease_until"],
                condition=models.Q(state__in=(BulkState.WORKING, BulkState.UNDOING)),
                name="bulk_unfinished",
            ),
            # what the key z takes back
            models.Index(
                fields=["tenant", "actor_kind", "actor_id", "-created_at"], name="bulk_of_actor"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.verb} of many"


class BulkItem(TenantOwned):
    """One incident of a job, what became of it, and what it was before."""

    job = TenantKey(BulkJob, related_name="items")
    incident = TenantKey("incidents.Incident", related_name="+")
    state = models.CharField(max_length=10, choices=ItemState.choices, default=ItemState.WAITING)
    reason = models.CharField(max_length=500, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(
                fields=["tenant", "job", "incident"], name="one_item_per_incident"
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=ItemState.values), name="item_state_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # a job's progress, its next chunk and its failures
            models.Index(fields=["tenant", "job", "state", "incident"], name="item_of_job")
        ]

    def __str__(self) -> str:
        return f"{self.incident} of {self.job}"
