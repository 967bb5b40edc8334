"""How campaigns are asked for and written in the API."""

from collections.abc import Mapping
from typing import Any

import django_filters as filters
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from actions.campaign_terms import STAGES_MOST, VERIFY_SECONDS_MOST, Terms
from actions.models import Campaign, CampaignRun
from actions.states import CampaignRunState, CampaignStatus
from awfdrs_site.lib.params import TEXT_CHARACTERS, IdFilter
from incidents.states import RunState
from tenants.serializers import IdField, TextField, VerbSerializer, WholeField

VERIFY_SECONDS_LEAST = 10
RUNS_MOST = 1_000_000


class CampaignFilters(filters.FilterSet):  # type: ignore[misc]  # the library has no types
    status = filters.ChoiceFilter(choices=CampaignStatus.choices)
    incident = IdFilter(field_name="incident_id")


class CampaignRunFilters(filters.FilterSet):  # type: ignore[misc]
    state = filters.ChoiceFilter(choices=CampaignRunState.choices)


@extend_schema_field(
    {
        "oneOf": [
            {"type": "integer", "minimum": 1, "maximum": RUNS_MOST},
            {"type": "string", "pattern": "^(100|[1-9][0-9]?)%$"},
        ]
    }
)
class StageField(serializers.Field[Any, Any, Any, Any]):
    """A number of runs, or a share of them such as "5%"."""

    default_error_messages = {  # noqa: RUF012
        "invalid": 'This must be a whole number from 1, or a share from "1%" to "100%".'
    }

    def to_internal_value(self, data: Any) -> int | str:
        if isinstance(data, int) and not isinstance(data, bool) and 1 <= data <= RUNS_MOST:
            return data
        if data in SHARES:
            return str(data)
        self.fail("invalid")

    def to_representation(self, value: Any) -> Any:
        return value


SHARES = frozenset(f"{percent}%" for percent in range(1, 101))


class ShareField(serializers.FloatField):
    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return float(data)


class Strict(VerbSerializer):
    """Fields of a part of a body: nobody says the tenant here."""

    tenant_id = None  # type: ignore[assignment]


class CampaignParameters(Strict):
    stages = serializers.ListField(
        child=StageField(),
        required=False,
        min_length=1,
        max_length=STAGES_MOST,
        help_text='How many runs were called when each stage is over; the last is "100%".',
    )
    failure_share = ShareField(required=False, min_value=0, max_value=1)
    verify_seconds = WholeField(
        required=False, min_value=VERIFY_SECONDS_LEAST, max_value=VERIFY_SECONDS_MOST
    )

    def validate_stages(self, stages: list[int | str]) -> tuple[int | str, ...]:
        if stages[-1] != "100%":
            raise serializers.ValidationError('The last stage must be "100%".', code="last")
        return tuple(stages)


class CampaignQuery(Strict):
    """What GET /runs filters by."""

    state = serializers.ChoiceField(choices=RunState.choices, required=False)
    workflow = TextField(required=False, max_length=TEXT_CHARACTERS, help_text="Slug or id.")
    incident = IdField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs:
            raise serializers.ValidationError("Name at least one filter.", code="required")
        return attrs


class CampaignPlan(VerbSerializer):
    incident = IdField(required=False)
    query = CampaignQuery(required=False)
    parameters = CampaignParameters(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("incident" in attrs) == ("query" in attrs):
            raise serializers.ValidationError("Name an incident or a query.", code="required")
        return attrs


def terms_of(parameters: Mapping[str, Any]) -> Terms:
    return Terms(**parameters)


class ProgressSerializer(serializers.Serializer[Any]):
    """Runs by what became of them."""

    n_runs = serializers.IntegerField()
    eligible = serializers.IntegerField(help_text="Not called yet.")
    called = serializers.IntegerField(help_text="Whose outcome is not known yet.")
    recovered = serializers.IntegerField()
    failed = serializers.IntegerField()
    unknown = serializers.IntegerField()
    left = serializers.IntegerField(help_text="Needed no call any more, or never got their turn.")


class StageSerializer(ProgressSerializer):
    number = serializers.IntegerField()


class CampaignSerializer(serializers.ModelSerializer[Campaign]):
    query = serializers.DictField()
    parameters = serializers.DictField()
    eligible = serializers.IntegerField(source="n_runs")
    ineligible = serializers.SerializerMethodField(help_text="Runs by why they are not called.")
    stages_total = serializers.SerializerMethodField()

    class Meta:
        model = Campaign
        fields: tuple[str, ...] = (
            "id",
            "tenant_id",
            "status",
            "incident_id",
            "query",
            "parameters",
            "eligible",
            "ineligible",
            "stage",
            "stages_total",
            "plan_hash",
            "pause_reason",
            "approval_id",
            "requested_by",
            "started_by",
            "correlation_id",
            "created_at",
            "started_at",
            "stage_started_at",
            "ended_at",
            "version",
        )
        read_only_fields = fields

    def get_ineligible(self, campaign: Campaign) -> dict[str, int]:
        counts: dict[str, int] = campaign.plan.get("ineligible", {})
        return counts

    def get_stages_total(self, campaign: Campaign) -> int:
        return len(campaign.plan.get("stages", ()))


class CampaignDetailSerializer(CampaignSerializer):
    progress = ProgressSerializer()
    stages = StageSerializer(many=True)
    needs_another = serializers.CharField(
        allow_blank=True, help_text="Why somebody other than who planned it must start it."
    )

    class Meta(CampaignSerializer.Meta):
        fields: tuple[str, ...] = (
            *CampaignSerializer.Meta.fields,
            "progress",
            "stages",
            "needs_another",
        )
        read_only_fields = fields


class CampaignRunSerializer(serializers.ModelSerializer[CampaignRun]):
    run = serializers.CharField(source="run.run_id")

    class Meta:
        model = CampaignRun
        fields: tuple[str, ...] = (
            "id",
            "run_id",
            "run",
            "place",
            "stage",
            "state",
            "reason",
            "action_id",
        )
        read_only_fields = fields
