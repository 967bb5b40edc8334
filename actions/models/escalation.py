"""Whom to tell, in which order, until somebody acknowledges."""

from typing import ClassVar

from django.conf import settings
from django.db import models

from actions.models.action import Action
from actions.models.telling import Channel
from actions.states import EscalationStatus
from incidents.models import Incident
from incidents.states import Severity
from tenants.models import TenantKey, TenantOwned, Workflow
from tenants.states import Role


class EscalationPolicy(TenantOwned):
    """Steps of telling people; one of a workflow goes before the tenant's own."""

    name = models.CharField(max_length=100)
    workflow = TenantKey(
        Workflow,
        null=True,
        blank=True,
        related_name="+",
        help_text="Only incidents of this workflow; empty: every incident without a policy of its own.",
    )
    minimum_severity = models.CharField(
        max_length=10, choices=Severity.choices, default=Severity.LOW
    )
    repeats = models.PositiveSmallIntegerField(
        default=2, help_text="How often all steps start again while nobody acknowledges."
    )
    acknowledge_minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="An acknowledgement lasts this long, then the steps go on; empty: for ever.",
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantOwned.Meta):
        verbose_name_plural = "escalation policies"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(fields=["tenant", "name"], name="one_policy_per_name"),
        ]

    def __str__(self) -> str:
        return self.name


class EscalationStep(TenantOwned):
    """Tell one target, `wait_minutes` after the step before: a channel, a person or everybody of a role."""

    policy = TenantKey(EscalationPolicy, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveSmallIntegerField()
    wait_minutes = models.PositiveIntegerField(default=0)
    channel = TenantKey(Channel, null=True, blank=True, related_name="+")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    role = models.CharField(max_length=20, choices=Role.choices, blank=True)

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(
                fields=["tenant", "policy", "position"], name="one_step_per_position"
            ),
            models.CheckConstraint(
                condition=(
                    models.Q(channel__isnull=False, user__isnull=True, role="")
                    | models.Q(channel__isnull=True, user__isnull=False, role="")
                    | (models.Q(channel__isnull=True, user__isnull=True) & ~models.Q(role=""))
                ),
                name="step_has_one_target",
            ),
        ]

    def __str__(self) -> str:
        return f"step {self.position} of {self.policy_id}"


class Escalation(TenantOwned):
    """One incident's way through its policy, as the policy was when it started."""

    action = TenantKey(Action, related_name="escalations")
    incident = TenantKey(Incident, related_name="escalations")
    policy_name = models.CharField(max_length=100, blank=True)  # empty: nobody made a policy
    steps = models.JSONField(default=list)  # the snapshot
    repeats = models.PositiveSmallIntegerField(default=0)
    acknowledge_minutes = models.PositiveIntegerField(null=True)
    reason = models.TextField(blank=True)
    status = models.CharField(
        max_length=12, choices=EscalationStatus.choices, default=EscalationStatus.RUNNING
    )
    step = models.PositiveSmallIntegerField(default=0)  # the next one
    round = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True)  # of the next step, or the end of an acknowledgement
    started_at = models.DateTimeField()
    acknowledged_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    version = models.PositiveBigIntegerField(default=1)

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(fields=["tenant", "action"], name="one_escalation_per_action"),
            models.CheckConstraint(
                condition=models.Q(status__in=EscalationStatus.values),
                name="escalation_status_known",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # the sweep that takes the next step, and the auditor that finds one overdue
            models.Index(
                fields=["next_at", "id"],
                condition=models.Q(ended_at__isnull=True, next_at__isnull=False),
                name="escalation_due",
            ),
            models.Index(fields=["tenant", "incident", "-id"], name="escalation_of_incident"),
        ]

    def __str__(self) -> str:
        return f"escalation {self.id}"
