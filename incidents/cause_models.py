"""What analysis reads and keeps beside incidents: changes, what was found, the events it counted, labels."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from tenants.models import TenantKey, TenantOwned, Vendor, Workflow


class Change(TenantOwned):
    """A deploy or another change somebody told us of; analysis joins it with onsets. Insert-only."""

    kind = models.CharField(max_length=40)
    summary = models.CharField(max_length=4000)
    workflow = TenantKey(Workflow, null=True, related_name="+")
    vendor = TenantKey(Vendor, null=True, related_name="+")
    occurred_at = models.DateTimeField()
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)

    class Meta(TenantOwned.Meta):
        indexes: ClassVar[list[models.Index]] = [
            # those around an incident
            models.Index(fields=["tenant", "-occurred_at", "-id"], name="change_by_time")
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.summary}"


class Analysis(TenantOwned):
    """The latest answer to why, one row an incident: found again when there is more to look at."""

    incident = TenantKey("incidents.Incident", related_name="+")
    event_count = models.PositiveBigIntegerField()
    latest_link = models.UUIDField(null=True)  # what the tenant's digest had reached
    latest_change = models.UUIDField(null=True)
    is_settled = models.BooleanField(default=False)  # whatever happens later is too late to matter
    analysed_at = models.DateTimeField()
    engine_version = models.CharField(max_length=40)
    n_reports = models.PositiveIntegerField()
    is_sample = models.BooleanField(default=False)
    cards = models.JSONField(default=list)

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(
                fields=["tenant", "incident"], name="one_analysis_per_incident"
            ),
        ]

    def __str__(self) -> str:
        return f"{len(self.cards)} cards for {self.incident}"


class Evidence(TenantOwned):
    """Exactly the events one card counted; a page that was open keeps its links for a while."""

    incident = TenantKey("incidents.Incident", related_name="+")
    claim = models.CharField(max_length=1000)
    event_ids = ArrayField(models.UUIDField())
    created_at = models.DateTimeField()

    class Meta(TenantOwned.Meta):
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["tenant", "incident"], name="evidence_of_incident")
        ]

    def __str__(self) -> str:
        return self.claim


class CategoryLabel(TenantOwned):
    """A person's word on what kind of failure an incident was; the newest of an incident counts. Insert-only."""

    incident = TenantKey("incidents.Incident", related_name="+")
    category = models.CharField(max_length=40)
    features = models.JSONField()  # what was known of it then: words and fields
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)

    class Meta(TenantOwned.Meta):
        indexes: ClassVar[list[models.Index]] = [
            # the newest of an incident, and the latest of the tenant for training
            models.Index(fields=["tenant", "incident", "-id"], name="label_of_incident"),
            models.Index(fields=["tenant", "-id"], name="label_latest"),
        ]

    def __str__(self) -> str:
        return f"{self.category} for {self.incident}"


class FixMark(TenantOwned):
    """A person's word on whether what was chosen fixed it; the newest of an incident counts. Insert-only."""

    incident = TenantKey("incidents.Incident", related_name="+")
    choice = models.CharField(max_length=10)  # of the decision it is about
    worked = models.BooleanField()
    note = models.CharField(max_length=4000, blank=True)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)

    class Meta(TenantOwned.Meta):
        indexes: ClassVar[list[models.Index]] = [
            # the newest of an incident, and the latest of the tenant
            models.Index(fields=["tenant", "incident", "-id"], name="fix_of_incident"),
            models.Index(fields=["tenant", "-id"], name="fix_latest"),
        ]

    def __str__(self) -> str:
        return f"{self.choice} {'fixed' if self.worked else 'did not fix'} {self.incident}"
