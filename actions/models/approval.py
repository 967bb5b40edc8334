"""Permission asked of people: what exactly is allowed, by whom, and until when."""

from typing import ClassVar

from django.db import models

from actions.states import ApprovalStatus
from incidents.models import Incident
from tenants.models import TenantKey, TenantOwned


class Approval(TenantOwned):
    """One request for permission: the terms that every action under it shares, and the votes on them.

    The plan's hash covers the terms and the ids of the actions up to `until_id`: what joins later, or what is
    edited afterwards, was never approved.
    """

    incident = TenantKey(Incident, null=True, related_name="approvals")
    status = models.CharField(
        max_length=10, choices=ApprovalStatus.choices, default=ApprovalStatus.WAITING
    )
    terms = models.JSONField(default=dict)  # url, declaration, policy…: what was shown to people
    terms_hash = models.CharField(max_length=64)
    plan_hash = models.CharField(max_length=64, blank=True)  # set with the first vote
    until_id = models.UUIDField(null=True)  # the last action that the votes are about
    quorum = models.PositiveSmallIntegerField(default=1)
    requested_by = models.CharField(max_length=200)
    requested_by_id = models.CharField(max_length=64, blank=True)  # empty: the machine
    void_reason = models.JSONField(default=dict)  # {field: [approved, now]}
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    version = models.PositiveBigIntegerField(default=1)

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            # two workers that ask for the same permission ask once; after the first vote it is closed
            models.UniqueConstraint(
                fields=["tenant", "incident", "terms_hash"],
                condition=models.Q(status=ApprovalStatus.WAITING, plan_hash=""),
                name="one_open_approval_per_terms",
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=ApprovalStatus.values), name="approval_status_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # the page of what waits for a person, and the sweep that expires it
            models.Index(
                fields=["expires_at", "id"],
                condition=models.Q(status=ApprovalStatus.WAITING),
                name="approval_waiting",
            ),
            models.Index(fields=["tenant", "status", "-id"], name="approval_list"),
            models.Index(fields=["tenant", "incident", "-id"], name="approval_of_incident"),
        ]

    def __str__(self) -> str:
        return f"approval {self.id}"


class ApprovalVote(TenantOwned):
    """One person's word on one plan, once."""

    approval = TenantKey(Approval, related_name="votes")
    actor_id = models.CharField(max_length=64)
    actor_label = models.CharField(max_length=200)
    is_for = models.BooleanField()
    plan_hash = models.CharField(max_length=64)
    reason = models.CharField(max_length=4000, blank=True)
    at = models.DateTimeField()

    class Meta(TenantOwned.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            *TenantOwned.Meta.constraints,
            models.UniqueConstraint(
                fields=["tenant", "approval", "actor_id"], name="one_vote_per_person"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.actor_label} {'for' if self.is_for else 'against'} {self.approval_id}"
