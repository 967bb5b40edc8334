"""How actions, attempts and workflows are asked for and written in the API."""

from datetime import datetime
from typing import Any

import django_filters as filters
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from actions import approval_plans, explain
from actions.explain import Explanation
from actions.models import Action, Attempt
from actions.states import ActionType, Status
from awfdrs_site.lib import clock
from awfdrs_site.lib.params import IdFilter, InstantFilter, TextFilter
from incidents.filters import vendor_filter, workflow_filter
from incidents.serializers import GateSerializer
from tenants.models import Workflow
from tenants.serializers import SlugField, TextField, VerbSerializer, WholeField
from tenants.states import Idempotent

URL_CHARACTERS = 2000
QUIET_MINUTES_MAX = 525_600  # a year


class ActionFilters(filters.FilterSet):  # type: ignore[misc]  # the library has no types
    status = filters.ChoiceFilter(choices=Status.choices)
    action_type = filters.ChoiceFilter(choices=ActionType.choices)
    incident = IdFilter(field_name="incident_id")
    run = IdFilter(field_name="run_id")
    approval = IdFilter(field_name="approval_id")
    workflow = workflow_filter()
    vendor = vendor_filter()
    since = InstantFilter(field_name="created_at", lookup_expr="gte")
    until = InstantFilter(field_name="created_at", lookup_expr="lt")


class WorkflowFilters(filters.FilterSet):  # type: ignore[misc]
    slug = TextFilter()
    vendor = vendor_filter()


class AttemptSerializer(serializers.ModelSerializer[Attempt]):
    request = serializers.DictField()

    class Meta:
        model = Attempt
        fields: tuple[str, ...] = (
            "number",
            "status",
            "request",
            "response_status",
            "response_excerpt",
            "error",
            "started_at",
            "finished_at",
            "latency_ms",
            "is_unattended",
        )
        read_only_fields = fields


class ActionSerializer(serializers.ModelSerializer[Action]):
    workflow = serializers.CharField(source="workflow.slug", default=None, allow_null=True)
    vendor = serializers.CharField(source="vendor.name", default=None, allow_null=True)
    run = serializers.CharField(source="run.run_id", default=None, allow_null=True)
    verification = serializers.SerializerMethodField()
    parameters = serializers.DictField()
    result = serializers.DictField()
    idempotency_key = serializers.CharField()

    class Meta:
        model = Action
        fields: tuple[str, ...] = (
            "id",
            "tenant_id",
            "action_type",
            "status",
            "verification",
            "incident_id",
            "run_id",
            "run",
            "decision_id",
            "workflow",
            "vendor",
            "reverses_id",
            "approval_id",
            "parameters",
            "result",
            "waiting_reason",
            "attempts_made",
            "attempts_max",
            "run_at",
            "idempotency_key",
            "requested_by",
            "correlation_id",
            "created_at",
            "started_at",
            "settled_at",
            "version",
        )
        read_only_fields = fields

    def get_verification(self, action: Action) -> str | None:
        return action.verification or None


class ActionDetailSerializer(ActionSerializer):
    attempts = AttemptSerializer(many=True)
    gates = serializers.SerializerMethodField()
    policy = serializers.DictField()
    previous_state = serializers.DictField()
    plan_hash = serializers.SerializerMethodField(
        help_text="Of this action alone under its terms as they are now; say it when approving."
    )
    earliest_possible_at = serializers.SerializerMethodField()

    class Meta(ActionSerializer.Meta):
        fields: tuple[str, ...] = (
            *ActionSerializer.Meta.fields,
            "attempts",
            "gates",
            "policy",
            "previous_state",
            "plan_hash",
            "earliest_possible_at",
        )
        read_only_fields = fields

    def get_plan_hash(self, action: Action) -> str:
        return approval_plans.plan_of_action(action).plan_hash

    @extend_schema_field(GateSerializer(many=True))
    def get_gates(self, action: Action) -> Any:
        """As they stand now while it waits; afterwards as they were when it last asked to start."""
        explanation = self._explained(action)
        return GateSerializer(explanation.gates, many=True).data or action.gates

    def get_earliest_possible_at(self, action: Action) -> datetime | None:
        """When it starts if nothing else happens; null where it is settled or waits for a person."""
        return self._explained(action).earliest_possible_at

    def _explained(self, action: Action) -> Explanation:
        found: Explanation | None = getattr(action, "explanation", None)
        if found is None:
            found = action.explanation = explain.of_action(action, now=clock.now())  # type: ignore[attr-defined]
        return found


class WorkflowSerializer(serializers.ModelSerializer[Workflow]):
    vendor = serializers.CharField(source="vendor.name", default=None, allow_null=True)
    retry_url = serializers.CharField(read_only=True, help_text="Empty: it has none.")
    status_url = serializers.CharField(read_only=True, help_text="Empty: it has none.")
    compensate_url = serializers.CharField(read_only=True, help_text="Empty: it has none.")

    class Meta:
        model = Workflow
        fields: tuple[str, ...] = (
            "id",
            "tenant_id",
            "slug",
            "name",
            "retry_url",
            "status_url",
            "compensate_url",
            "idempotent",
            "quiet_minutes",
            "vendor",
            "previous_secret_until",
            "created_at",
        )
        read_only_fields = fields


class RegisteredSerializer(WorkflowSerializer):
    retry_secret = serializers.CharField(help_text="Shown this once.")

    class Meta(WorkflowSerializer.Meta):
        fields: tuple[str, ...] = (*WorkflowSerializer.Meta.fields, "retry_secret")
        read_only_fields = fields


class WorkflowRegistration(VerbSerializer):
    slug = SlugField()
    name = TextField(required=False, allow_blank=True, max_length=200)
    retry_url = TextField(required=False, max_length=URL_CHARACTERS)
    status_url = TextField(required=False, max_length=URL_CHARACTERS)
    compensate_url = TextField(required=False, max_length=URL_CHARACTERS)
    idempotent = serializers.ChoiceField(choices=Idempotent.choices, required=False)
    quiet_minutes = WholeField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=QUIET_MINUTES_MAX,
        help_text="After this long without a failure an incident resolves itself; null: never.",
    )
    vendor = TextField(required=False, max_length=100)
