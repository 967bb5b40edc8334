"""One remediation and its tries."""

from typing import ClassVar

from django.db import models

from actions.querysets import ActionQuerySet
from actions.states import UNSETTLED, ActionType, AttemptStatus, Status, Verification
from incidents.models import Decision, Incident, Run
from tenants.models import TenantKey, TenantOwned, Vendor, Workflow


class Action(TenantOwned):
    """One logical remediation with one idempotency key for life (`act_<id>`)."""

    action_type = models.CharField(max_length=30, choices=ActionType.choices)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.PENDING)
    verification = models.CharField(
        max_length=15, choices=Verification.choices, default=Verification.NONE, blank=True
    )
    dedupe_key = models.CharField(max_length=200)  # what makes planning twice harmless
    incident = TenantKey(Incident, null=True, related_name="actions")
    run = TenantKey(Run, null=True, related_name="actions")
    decision = TenantKey(Decision, null=True, related_name="actions")
    workflow = TenantKey(Workflow, null=True, related_name="+")
    vendor = TenantKey(Vendor, null=True, related_name="+")
    approval = TenantKey("actions.Approval", null=True, related_name="actions")
    campaign = TenantKey("actions.Campaign", null=True, related_name="actions")
    reverses = models.OneToOneField(
        "self", null=True, on_delete=models.PROTECT, db_constraint=False, related_name="reversed_by"
    )
    parameters = models.JSONField(default=dict)
    policy = models.JSONField(default=dict)  # the retry policy as resolved when planned
    gates = models.JSONField(default=list)  # the last verdict of the gate
    waiting_reason = models.CharField(max_length=300, blank=True)
    previous_state = models.JSONField(default=dict)  # what a reversal puts back
    result = models.JSONField(default=dict)
    attempts_made = models.PositiveIntegerField(default=0)
    attempts_max = models.PositiveIntegerField(default=1)
    # what let it start by itself; the default is the database's too, for workers of the release before
    rule = models.CharField(max_length=210, blank=True, default="", db_default="")
    run_at = models.DateTimeField()
    lease_token = models.BigIntegerField(null=True)
    lease_until = models.DateTimeField(null=True)
    requested_by = models.CharField(max_length=200)
    requested_by_id = models.CharField(max_length=64, blank=True)  # empty: the machine
    correlation_id = models.CharField(max_length=128)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)
    version = models.PositiveBigIntegerField(default=1)

    objects: ClassVar[ActionQuerySet] = ActionQuerySet.as_manager()  # type: ignore[assignment]

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(fields=["tenant", "dedupe_key"], name="one_action_per_purpose"),
            models.CheckConstraint(
                condition=models.Q(status__in=Status.values), name="action_status_known"
            ),
            models.CheckConstraint(
                condition=models.Q(action_type__in=ActionType.values), name="action_type_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # the claim: due actions, oldest first, whatever else waits
            models.Index(
                fields=["run_at", "id"],
                condition=models.Q(status=Status.PENDING),
                name="action_due",
            ),
            # the sweep that finds leases that ran out
            models.Index(
                fields=["lease_until"],
                condition=models.Q(status=Status.IN_PROGRESS),
                name="action_lease",
            ),
            # the sweeps that verify, and that release what a kill switch held
            models.Index(
                fields=["tenant", "run"],
                condition=models.Q(verification=Verification.PENDING),
                name="action_unverified",
            ),
            models.Index(
                fields=["id"], condition=models.Q(status=Status.PARKED), name="action_parked"
            ),
            # the sweep that asks workflows what became of a call
            models.Index(
                fields=["run_at", "id"],
                condition=models.Q(status=Status.UNKNOWN),
                name="action_unknown",
            ),
            models.Index(fields=["tenant", "incident", "-id"], name="action_of_incident"),
            models.Index(fields=["tenant", "status", "-id"], name="action_list"),
            models.Index(fields=["tenant", "-id"], name="action_latest"),
            # what an approval covers, and a campaign's progress
            models.Index(
                fields=["tenant", "approval", "id"],
                condition=models.Q(approval__isnull=False),
                name="action_of_approval",
            ),
            models.Index(
                fields=["tenant", "campaign", "status"],
                condition=models.Q(campaign__isnull=False),
                name="action_of_campaign",
            ),
            # what waits for a person, on every page of the incident list
            models.Index(
                fields=["tenant", "incident"],
                condition=models.Q(status=Status.AWAITING_APPROVAL),
                name="action_awaiting",
            ),
            # what happens next in an incident, however much is over
            models.Index(
                fields=["tenant", "incident"],
                condition=models.Q(status__in=UNSETTLED)
                | models.Q(verification=Verification.PENDING),
                name="action_open",
            ),
            # what one rule set off within the hour
            models.Index(
                fields=["tenant", "rule", "-started_at"],
                condition=models.Q(rule__gt=""),
                name="action_of_rule",
            ),
            # calls under way, against their caps
            models.Index(
                fields=["tenant", "vendor", "workflow"],
                condition=models.Q(status=Status.IN_PROGRESS),
                name="action_in_flight",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action_type} {self.id}"

    @property
    def idempotency_key(self) -> str:
        return f"act_{self.id}"


class Attempt(TenantOwned):
    """One try of an action, committed as `started` before anything is sent."""

    action = TenantKey(Action, related_name="attempts")
    number = models.PositiveIntegerField()
    status = models.CharField(
        max_length=10, choices=AttemptStatus.choices, default=AttemptStatus.STARTED
    )
    workflow_id = models.UUIDField(null=True)
    run_id = models.UUIDField(null=True)
    vendor_id = models.UUIDField(null=True)
    is_unattended = models.BooleanField(default=True)
    lease_token = models.BigIntegerField()
    breaker_epoch = models.BigIntegerField(null=True)
    request = models.JSONField(default=dict)
    response_status = models.PositiveSmallIntegerField(null=True)
    response_excerpt = models.TextField(blank=True)
    error = models.CharField(max_length=500, blank=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    latency_ms = models.PositiveIntegerField(null=True)

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            # nobody sends a numbered attempt without having inserted it (G6)
            models.UniqueConstraint(
                fields=["tenant", "action", "number"], name="one_attempt_per_number"
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=AttemptStatus.values), name="attempt_status_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # hourly retry limits, counted in the start transaction
            models.Index(fields=["tenant", "run_id", "-started_at"], name="attempt_of_run"),
            models.Index(fields=["tenant", "vendor_id", "-started_at"], name="attempt_of_vendor"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.action_id}"
