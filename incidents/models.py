"""What is wrong, and why: incidents, the runs they hurt, decisions, links to evidence."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.urls import reverse

from incidents.cause_models import Analysis as Analysis
from incidents.cause_models import CategoryLabel as CategoryLabel
from incidents.cause_models import Change as Change
from incidents.cause_models import Evidence as Evidence
from incidents.cause_models import FixMark as FixMark
from incidents.grouping_models import IncidentHour as IncidentHour
from incidents.grouping_models import OutcomeRule as OutcomeRule
from incidents.grouping_models import SignatureAlias as SignatureAlias
from incidents.grouping_models import Template as Template
from incidents.querysets import IncidentQuerySet, RunQuerySet
from incidents.runbook_models import Runbook as Runbook
from incidents.runbook_models import StepTick as StepTick
from incidents.states import (
    CLOSED,
    OPEN,
    UNRECOVERED,
    Choice,
    DecisionKind,
    RunState,
    Severity,
    Status,
)
from incidents.triage_models import BulkItem as BulkItem
from incidents.triage_models import BulkJob as BulkJob
from incidents.triage_models import MergePart as MergePart
from incidents.triage_models import Undo as Undo
from incidents.view_models import SavedView as SavedView
from tenants.models import TenantKey, TenantOwned, Vendor, Workflow


class Incident(TenantOwned):
    """One open problem per tenant and signature; `lifecycle.py` is the only writer of `status`."""

    number = models.PositiveBigIntegerField(null=True)  # set before the opening commits
    title = models.CharField(max_length=200)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.DETECTED)
    severity = models.CharField(max_length=10, choices=Severity.choices, default=Severity.MEDIUM)
    category = models.CharField(max_length=40)
    error_code = models.CharField(max_length=200, blank=True)
    workflow = TenantKey(Workflow, related_name="incidents")
    vendor = TenantKey(Vendor, null=True, related_name="incidents")
    signature = models.CharField(max_length=32)
    signature_version = models.PositiveSmallIntegerField()
    signature_components = models.JSONField(default=list)
    classification = models.JSONField(default=dict)
    event_count = models.PositiveBigIntegerField(default=0)
    affected_runs = models.PositiveIntegerField(default=0)
    unrecovered_runs = models.PositiveIntegerField(default=0)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    last_event_id = models.UUIDField(null=True)
    opened_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    planned_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=200, blank=True)
    acknowledged_until = models.DateTimeField(null=True)  # then it ends by itself
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    snoozed_until = models.DateTimeField(null=True)  # at the latest
    snooze = models.JSONField(null=True)  # what ends it before (`snoozing`)
    escalated_at = models.DateTimeField(null=True)
    escalated_reason = models.CharField(max_length=4000, blank=True)
    resolved_at = models.DateTimeField(null=True)
    resolved_reason = models.CharField(max_length=4000, blank=True)
    regression_count = models.PositiveIntegerField(default=0)
    previous = TenantKey("self", null=True, related_name="+")
    is_storm = models.BooleanField(default=False)  # groups its children, has no events of its own
    parent = TenantKey("self", null=True, related_name="children")  # the storm it is part of
    merged_into = TenantKey("self", null=True, related_name="members")
    version = models.PositiveBigIntegerField(default=1)

    objects: ClassVar[IncidentQuerySet] = IncidentQuerySet.as_manager()  # type: ignore[assignment]

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            # one open incident per problem, however many workers see it at once
            models.UniqueConstraint(
                fields=["tenant", "signature"],
                condition=models.Q(status__in=OPEN),
                name="one_open_incident_per_signature",
            ),
            models.UniqueConstraint(fields=["tenant", "number"], name="one_incident_per_number"),
            models.CheckConstraint(
                condition=models.Q(status__in=Status.values), name="incident_status_known"
            ),
            models.CheckConstraint(
                condition=models.Q(severity__in=Severity.values), name="incident_severity_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # the incident list with its tabs and filters
            models.Index(
                fields=["tenant", "status", "severity", "-last_seen_at", "-id"],
                name="incident_list",
            ),
            models.Index(fields=["tenant", "-last_seen_at", "-id"], name="incident_latest"),
            # the same by tab, for pages deep in a long past and for open ones that were not seen lately
            # and the tabs' counts, without their rows
            models.Index(
                fields=["tenant", "-last_seen_at", "-id"],
                include=["status", "snoozed_until", "assignee"],
                condition=models.Q(status__in=OPEN),
                name="incident_tabs",
            ),
            # a person's own, and how many each has
            models.Index(
                fields=["tenant", "assignee", "-last_seen_at", "-id"],
                condition=models.Q(status__in=OPEN, assignee__isnull=False),
                name="incident_assigned",
            ),
            models.Index(
                fields=["tenant", "-last_seen_at", "-id"],
                condition=models.Q(status__in=CLOSED),
                name="incident_closed",
            ),
            # regressions: the last closed incident of a signature
            models.Index(
                fields=["tenant", "signature", "-resolved_at"], name="incident_by_signature"
            ),
            # storms: children of a parent, and the latest openings at a vendor
            models.Index(
                fields=["tenant", "parent"],
                condition=models.Q(parent__isnull=False),
                name="incident_of_storm",
            ),
            models.Index(fields=["tenant", "vendor", "-opened_at"], name="incident_of_vendor"),
            models.Index(
                fields=["tenant", "merged_into"],
                condition=models.Q(merged_into__isnull=False),
                name="incident_merged",
            ),
            # a workflow's page and its last failure, and analytics: what was opened and resolved when
            models.Index(
                fields=["tenant", "workflow", "-last_seen_at", "-id"], name="incident_of_workflow"
            ),
            models.Index(fields=["tenant", "opened_at"], name="incident_opened"),
            models.Index(
                fields=["tenant", "resolved_at"],
                condition=models.Q(resolved_at__isnull=False),
                name="incident_over",
            ),
            # the sweep that resolves what has been quiet
            models.Index(
                fields=["last_seen_at"],
                condition=models.Q(status__in=OPEN),
                name="incident_quiet",
            ),
            # the sweeps that end snoozes and acknowledgements; few incidents have either
            models.Index(
                fields=["snoozed_until"],
                condition=models.Q(snoozed_until__isnull=False),
                name="incident_snoozed",
            ),
            models.Index(
                fields=["acknowledged_until"],
                condition=models.Q(acknowledged_until__isnull=False),
                name="incident_ack_ends",
            ),
            # the sweep that finds undecided incidents
            models.Index(
                fields=["opened_at"],
                condition=models.Q(decided_at=None, status__in=OPEN),
                name="incident_undecided",
            ),
            # the sweep that finds decisions nobody planned for yet
            models.Index(
                fields=["decided_at"],
                condition=models.Q(planned_at=None, decided_at__isnull=False, status__in=OPEN),
                name="incident_unplanned",
            ),
        ]

    def __str__(self) -> str:
        return f"INC-{self.number}"

    def get_absolute_url(self) -> str:
        return reverse("incidents:detail", args=[self.pk])


class Run(TenantOwned):
    """One execution of a workflow. `episode` counts how often it failed anew after having recovered."""

    workflow = TenantKey(Workflow, related_name="runs")
    run_id = models.CharField(max_length=200)
    state = models.CharField(max_length=20, choices=RunState.choices, default=RunState.RUNNING)
    incident = TenantKey(Incident, null=True, related_name="owned_runs")
    episode = models.PositiveIntegerField(default=0)
    planned_at = models.DateTimeField(null=True)
    attempted_at = models.DateTimeField(null=True)
    first_failed_at = models.DateTimeField(null=True)
    last_failed_at = models.DateTimeField(null=True)
    failure_received_at = models.DateTimeField(null=True)
    last_event_id = models.UUIDField(null=True)
    succeeded_at = models.DateTimeField(null=True)  # when we received success evidence
    success_occurred_at = models.DateTimeField(null=True)
    success_event_id = models.UUIDField(null=True)
    recovered_at = models.DateTimeField(null=True)
    recovery_note = models.CharField(max_length=4000, blank=True)
    version = models.PositiveBigIntegerField(default=1)

    objects: ClassVar[RunQuerySet] = RunQuerySet.as_manager()  # type: ignore[assignment]

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(fields=["tenant", "workflow", "run_id"], name="one_run_per_id"),
            models.CheckConstraint(
                condition=models.Q(state__in=RunState.values), name="run_state_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["tenant", "incident", "state"], name="run_of_incident"),
            # the overview: what failed in the last day, what has waited longest, what took longest
            models.Index(
                fields=["tenant", "last_failed_at"],
                condition=models.Q(last_failed_at__isnull=False),
                name="run_failed",
            ),
            models.Index(
                fields=["tenant", "first_failed_at"],
                condition=models.Q(state__in=UNRECOVERED),
                name="run_left",
            ),
            models.Index(
                fields=["tenant", "recovered_at"],
                condition=models.Q(recovered_at__isnull=False),
                name="run_recovered",
            ),
            # the sweep that finds failed runs nobody planned for yet
            models.Index(
                fields=["last_failed_at"],
                condition=models.Q(state=RunState.FAILED, planned_at=None),
                name="run_unplanned",
            ),
        ]

    def __str__(self) -> str:
        return self.run_id

    @property
    def is_unrecovered(self) -> bool:
        return self.state in UNRECOVERED


class AffectedRun(TenantOwned):
    """The recovery ledger's line: this incident hurt that run."""

    incident = TenantKey(Incident, related_name="affected")
    run = TenantKey(Run, related_name="affected_by")

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(fields=["tenant", "incident", "run"], name="one_ledger_line"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["tenant", "run"], name="ledger_by_run")
        ]

    def __str__(self) -> str:
        return f"{self.run} in {self.incident}"


class EventLink(TenantOwned):
    """What the digest made of an event (same id): its outcome, incident and run. Partitioned like Event.

    `signature` is the event's own, also when it is counted on the incident of another one (a merge).
    """

    outcome = models.CharField(max_length=10)
    incident_id = models.UUIDField(null=True)
    run_id = models.UUIDField(null=True)
    signature = models.CharField(max_length=32, blank=True)

    class Meta(TenantOwned.Meta):
        indexes: ClassVar[list[models.Index]] = [
            # an incident's events, newest first
            models.Index(fields=["tenant", "incident_id", "-id"], name="link_by_incident"),
            models.Index(fields=["tenant", "run_id", "-id"], name="link_by_run"),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} {self.id}"


class Decision(TenantOwned):
    """What was chosen, from what, and why; insert-only."""

    incident = TenantKey(Incident, related_name="decisions")
    kind = models.CharField(max_length=15, choices=DecisionKind.choices)
    choice = models.CharField(max_length=10, choices=Choice.choices)
    category = models.CharField(max_length=40)
    confidence = models.FloatField()
    reasons = models.JSONField()
    candidates = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))
    inputs = models.JSONField()
    rules = models.JSONField()
    gates = models.JSONField()
    engine_version = models.CharField(max_length=40)
    input_hash = models.CharField(max_length=64)
    correlation_id = models.CharField(max_length=128)
    created_at = models.DateTimeField()

    class Meta(TenantOwned.Meta):
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["tenant", "incident", "-id"], name="decision_of_incident")
        ]

    def __str__(self) -> str:
        return f"{self.choice} for {self.incident}"
