"""Re-drive campaigns: many runs of one incident, in stages that each prove themselves."""

from typing import ClassVar

from django.db import models

from actions.models.action import Action
from actions.models.approval import Approval
from actions.states import CampaignRunState, CampaignStatus
from incidents.models import Incident, Run
from tenants.models import TenantKey, TenantOwned


class Campaign(TenantOwned):
    """A plan over runs, frozen when made, called stage by stage: one attempt per run."""

    incident = TenantKey(Incident, null=True, related_name="campaigns")
    query = models.JSONField(default=dict)  # the filters it was made from, when not of one incident
    status = models.CharField(
        max_length=10, choices=CampaignStatus.choices, default=CampaignStatus.PLANNED
    )
    parameters = models.JSONField(default=dict)  # stages, failure_share: see campaigns.Terms
    plan = models.JSONField(default=dict)  # counts: eligible, ineligible by reason, stage sizes
    plan_hash = models.CharField(max_length=64)
    approval = TenantKey(Approval, null=True, related_name="campaigns")
    stage = models.PositiveSmallIntegerField(default=0)
    n_runs = models.PositiveIntegerField(default=0)  # eligible ones
    pause_reason = models.CharField(max_length=300, blank=True)
    requested_by = models.CharField(max_length=200)
    requested_by_id = models.CharField(max_length=64, blank=True)
    started_by = models.CharField(max_length=200, blank=True)  # who allowed its calls
    correlation_id = models.CharField(max_length=128)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    stage_started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    version = models.PositiveBigIntegerField(default=1)

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.CheckConstraint(
                condition=models.Q(status__in=CampaignStatus.values), name="campaign_status_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # the sweep that calls the next stage or pauses
            models.Index(
                fields=["id"],
                condition=models.Q(status=CampaignStatus.RUNNING),
                name="campaign_running",
            ),
            models.Index(fields=["tenant", "-id"], name="campaign_list"),
            models.Index(fields=["tenant", "incident", "-id"], name="campaign_of_incident"),
        ]

    def __str__(self) -> str:
        return f"campaign {self.id}"


class CampaignRun(TenantOwned):
    """One run of a campaign, eligible or not and why; called once for ever."""

    campaign = TenantKey(Campaign, related_name="runs")
    run = TenantKey(Run, related_name="+")
    place = models.PositiveIntegerField()  # the order of calling
    stage = models.PositiveSmallIntegerField(null=True)
    state = models.CharField(max_length=12, choices=CampaignRunState.choices)
    reason = models.CharField(max_length=300, blank=True)  # why it is not eligible, or was left
    action = TenantKey(Action, null=True, related_name="+")

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(fields=["tenant", "campaign", "run"], name="one_call_per_run"),
            models.CheckConstraint(
                condition=models.Q(state__in=CampaignRunState.values),
                name="campaign_run_state_known",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # the next runs of a stage, and the progress of a campaign
            models.Index(fields=["tenant", "campaign", "state", "place"], name="campaign_progress"),
            models.Index(fields=["tenant", "run"], name="campaign_of_run"),
            # the sweep that sees what became of calls, also of a campaign that was stopped meanwhile
            models.Index(
                fields=["tenant", "campaign"],
                condition=models.Q(state=CampaignRunState.CALLED),
                name="campaign_called",
            ),
        ]

    def __str__(self) -> str:
        return f"run {self.run_id} of campaign {self.campaign_id}"
