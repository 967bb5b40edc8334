"""How requests for permission, and votes on them, are asked for and written in the API."""

import re
from typing import Any

import django_filters as filters
from rest_framework import serializers

from actions import approval_plans, approvals
from actions.models import Approval, ApprovalVote
from actions.states import ApprovalStatus
from awfdrs_site.lib.params import IdFilter
from tenants.serializers import ReasonField, ReasonOrNote, TextField, VerbSerializer


class ApprovalFilters(filters.FilterSet):  # type: ignore[misc]  # the library has no types
    status = filters.ChoiceFilter(choices=ApprovalStatus.choices)
    incident = IdFilter(field_name="incident_id")


class PlanHashField(TextField):
    default_error_messages = {"format": "This must be 64 hexadecimal digits."}  # noqa: RUF012

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not re.fullmatch(r"[0-9a-f]{64}", text):
            self.fail("format")
        return text


class VerdictBody(VerbSerializer):
    plan_hash = PlanHashField(
        required=False,
        default="",
        help_text="Of the plan as it was seen; when it is another one by now: 409 plan_changed.",
    )
    reason = ReasonField(required=False, default="", allow_blank=True)


class Rejection(VerdictBody):
    reason = ReasonField()


class VoteOnAction(ReasonOrNote):
    plan_hash = PlanHashField(
        required=False, default="", help_text="Of the action as it was seen: see GET /actions/{id}."
    )


class VoteSerializer(serializers.ModelSerializer[ApprovalVote]):
    by = serializers.CharField(source="actor_label")

    class Meta:
        model = ApprovalVote
        fields = ("by", "is_for", "reason", "at")
        read_only_fields = fields


class ApprovalSerializer(serializers.ModelSerializer[Approval]):
    terms = serializers.DictField(help_text="What every action under it shares.")
    void_reason = serializers.DictField(help_text="{field: [approved, now]}")

    class Meta:
        model = Approval
        fields: tuple[str, ...] = (
            "id",
            "tenant_id",
            "status",
            "incident_id",
            "terms",
            "quorum",
            "requested_by",
            "void_reason",
            "created_at",
            "expires_at",
            "decided_at",
            "version",
        )
        read_only_fields = fields


class ApprovalDetailSerializer(ApprovalSerializer):
    plan_hash = serializers.SerializerMethodField(
        help_text="Of the terms and the actions as they are now; say it with the vote."
    )
    n_actions = serializers.SerializerMethodField()
    n_waiting = serializers.SerializerMethodField()
    changed = serializers.SerializerMethodField(
        help_text="{field: [asked, now]} of terms that were edited since people were asked."
    )
    votes = VoteSerializer(many=True)

    class Meta(ApprovalSerializer.Meta):
        fields: tuple[str, ...] = (
            *ApprovalSerializer.Meta.fields,
            "plan_hash",
            "n_actions",
            "n_waiting",
            "changed",
            "votes",
        )
        read_only_fields = fields

    def get_plan_hash(self, approval: Approval) -> str:
        return approval_plans.plan_of(approval).plan_hash

    def get_n_actions(self, approval: Approval) -> int:
        return int(approvals.members(approval).count())

    def get_n_waiting(self, approval: Approval) -> int:
        return int(approvals.waiting_members(approval).count())

    def get_changed(self, approval: Approval) -> dict[str, list[Any]]:
        return approvals.edited(approval) if approval.status == ApprovalStatus.WAITING else {}
