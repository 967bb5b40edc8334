"""How changes and hypotheses are asked for and written in the API."""

from typing import Any

from rest_framework import serializers

from incidents.models import Change
from tenants.serializers import InstantField, ReasonField, TextField, VerbSerializer


class ChangeBody(VerbSerializer):
    """`workflow` and `vendor` are names or ids; without them it may touch everything."""

    kind = TextField(max_length=40)
    summary = ReasonField()
    workflow = TextField(max_length=100, required=False)
    vendor = TextField(max_length=100, required=False)
    occurred_at = InstantField()


class ChangeSerializer(serializers.ModelSerializer[Change]):
    workflow = serializers.CharField(source="workflow.slug", default=None, allow_null=True)
    vendor = serializers.CharField(source="vendor.name", default=None, allow_null=True)

    class Meta:
        model = Change
        fields: tuple[str, ...] = (
            "id",
            "tenant_id",
            "kind",
            "summary",
            "workflow",
            "workflow_id",
            "vendor",
            "vendor_id",
            "occurred_at",
            "created_at",
            "created_by",
        )
        read_only_fields = fields


class IntervalSerializer(serializers.Serializer[Any]):
    """95 % of a share."""

    low = serializers.FloatField()
    high = serializers.FloatField()
    of = serializers.CharField()


class HypothesisSerializer(serializers.Serializer[Any]):
    """A cause that the data support, with the numbers behind it."""

    kind = serializers.ChoiceField(choices=["vendor", "change", "attribute", "step", "cycle"])
    subject = serializers.CharField(
        help_text="The vendor, the change, field=value, the step or the rhythm."
    )
    claim = serializers.CharField()
    statistic = serializers.CharField()
    q_value = serializers.FloatField(help_text="The share of false claims at this strength.")
    interval = IntervalSerializer()
    n = serializers.IntegerField(help_text="Events counted: exactly those at `events`.")
    compared = serializers.IntegerField(help_text="Reports or runs it was tested on.")
    lift = serializers.FloatField(allow_null=True)
    support = serializers.FloatField(allow_null=True)
    score = serializers.FloatField(help_text="What it explains; the order of the cards.")
    evidence = serializers.UUIDField()
    events = serializers.SerializerMethodField(help_text="The list of exactly the events counted.")

    def get_events(self, card: dict[str, Any]) -> str:
        return f"/api/v1/events?evidence={card['evidence']}"


class FindingsSerializer(serializers.Serializer[Any]):
    """How the hypotheses were found: from rules and past incidents, no external calls."""

    verdict = serializers.CharField(help_text="In words: what is supported, or that nothing is.")
    source = serializers.CharField(help_text="How it was found.")  # type: ignore[assignment]
    n_reports = serializers.IntegerField(help_text="Events that were looked at.")
    is_sample = serializers.BooleanField(
        help_text="Of more than can be looked at, every part of the time."
    )
    is_switched_off = serializers.BooleanField(help_text="By ENABLE_AI_RCA.")
    analysed_at = serializers.DateTimeField(allow_null=True)
