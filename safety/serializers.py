"""How vendors, breakers and kill switches are written and asked for in the API."""

from typing import Any

from rest_framework import serializers

from safety.models import CircuitBreaker, KillSwitch
from safety.rulefields import CATEGORIES
from safety.states import Forced, SwitchScope
from tenants.models import Vendor
from tenants.serializers import InstantField, ReasonField, TextField, VerbSerializer

GLOBAL = "global"
AUTO = "auto"


class BreakerSerializer(serializers.ModelSerializer[CircuitBreaker]):
    """The state and the window it is judged by."""

    forced = serializers.ChoiceField(choices=Forced.choices, allow_blank=True)
    failure_threshold = serializers.IntegerField(source="policy.failure_threshold")
    timeout_seconds = serializers.IntegerField(source="policy.timeout_seconds")
    half_open_requests = serializers.IntegerField(source="policy.half_open_requests")
    probes = serializers.SerializerMethodField()

    class Meta:
        model = CircuitBreaker
        fields = (
            "state",
            "failures",
            "failure_threshold",
            "timeout_seconds",
            "opened_at",
            "open_until",
            "half_open_requests",
            "probes",
            "forced",
            "forced_until",
            "forced_reason",
            "version",
        )
        read_only_fields = fields

    def get_probes(self, row: CircuitBreaker) -> int:
        return len(row.probes)


class VendorSerializer(serializers.ModelSerializer[Vendor]):
    breaker = BreakerSerializer()

    class Meta:
        model = Vendor
        fields = ("id", "tenant_id", "name", "created_at", "breaker")
        read_only_fields = fields


class BreakerForce(VerbSerializer):
    state = serializers.ChoiceField(choices=[*Forced.values, AUTO])
    reason = ReasonField()
    expires_at = InstantField(required=False)


class KillSwitchSerializer(serializers.ModelSerializer[KillSwitch]):
    target = serializers.CharField(help_text="Id of the workflow or vendor, or the action type.")
    is_active = serializers.BooleanField()

    class Meta:
        model = KillSwitch
        fields = (
            "id",
            "scope",
            "target",
            "reason",
            "is_active",
            "activated_at",
            "activated_by",
            "expires_at",
            "lifted_at",
            "lifted_by",
            "lift_reason",
            "version",
        )
        read_only_fields = fields


class GlobalSwitchSerializer(serializers.Serializer[Any]):
    """The platform's own switch, as every tenant may see it."""

    id = serializers.UUIDField()
    scope = serializers.CharField()
    reason = serializers.CharField()
    activated_at = serializers.DateTimeField(source="since")
    activated_by = serializers.CharField(source="by")
    expires_at = serializers.DateTimeField(source="until", allow_null=True)


class SwitchPage(serializers.Serializer[Any]):
    """The platform's switches that are on come beside the tenant's own."""

    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = KillSwitchSerializer(many=True)
    platform = GlobalSwitchSerializer(many=True)


class SwitchActivation(VerbSerializer):
    scope = serializers.ChoiceField(choices=[GLOBAL, *SwitchScope.values])
    target = TextField(required=False, max_length=100)
    reason = ReasonField()
    expires_at = InstantField(required=False)


class RuleValueSerializer(serializers.Serializer[Any]):
    value = serializers.JSONField()
    source = serializers.CharField()  # type: ignore[assignment]
    override_id = serializers.UUIDField(required=False)


class EffectiveSerializer(serializers.Serializer[Any]):
    workflow = serializers.CharField(allow_blank=True)
    vendor = serializers.CharField(allow_blank=True)
    error_code = serializers.CharField(allow_blank=True)
    category = serializers.ChoiceField(choices=CATEGORIES)
    values = serializers.DictField(child=RuleValueSerializer())
