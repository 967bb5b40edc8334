"""How vendors, breakers and kill switches are written and asked for in the API."""

from typing import Any

from rest_framework import serializers

from safety.models import CircuitBreaker, KillSwitch
from safety.rulefields import CATEGORIES, WINDOWS
from safety.states import Forced, SwitchScope
from safety.switch_models import FASTEST_RELEASE, RELEASE_PER_SECOND
from tenants.models import Vendor
from tenants.serializers import (
    InstantField,
    ReasonField,
    ReasonGiven,
    TextField,
    VerbSerializer,
    WholeField,
)

GLOBAL = "global"
AUTO = "auto"


class WindowSerializer(serializers.Serializer[Any]):
    """The recent calls a breaker takes its rates of; none unless it is closed."""

    kind = serializers.ChoiceField(choices=WINDOWS, source="policy.window")
    seconds = serializers.IntegerField(source="policy.window_seconds")
    max_calls = serializers.IntegerField(source="policy.window_calls")
    failure_rate_percent = serializers.FloatField(source="policy.failure_rate_percent")
    slow_call_ms = serializers.IntegerField(source="policy.slow_call_ms")
    slow_rate_percent = serializers.FloatField(source="policy.slow_rate_percent")
    calls = serializers.IntegerField(source="recent.calls")
    failures = serializers.IntegerField(source="recent.failures")
    slow = serializers.IntegerField(source="recent.slow")


class BreakerSerializer(serializers.ModelSerializer[CircuitBreaker]):
    """The state and the window it is judged by."""

    forced = serializers.ChoiceField(choices=Forced.choices, allow_blank=True)
    failure_threshold = serializers.IntegerField(source="policy.failure_threshold")
    timeout_seconds = serializers.IntegerField(source="policy.timeout_seconds")
    half_open_requests = serializers.IntegerField(source="policy.half_open_requests")
    probes = serializers.SerializerMethodField()
    window = WindowSerializer(source="*")

    class Meta:
        model = CircuitBreaker
        fields = (
            "state",
            "failures",
            "failure_threshold",
            "timeout_seconds",
            "opened_at",
            "open_until",
            "opened_because",
            "half_open_requests",
            "probes",
            "window",
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
        fields: tuple[str, ...] = (
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
        read_only_fields: tuple[str, ...] = fields


class LiftPreviewSerializer(serializers.Serializer[Any]):
    """What is held, and what would become of it."""

    held = serializers.IntegerField()
    would_run = serializers.IntegerField()
    superseded = serializers.IntegerField(help_text="Recovered or ignored meanwhile: skipped.")
    expired = serializers.IntegerField(help_text="What allowed it does not hold any more.")
    still_held = serializers.IntegerField(help_text="By another switch.")


class StopPreviewSerializer(serializers.Serializer[Any]):
    """What would be held from now on; what is under way is not called back."""

    would_hold = serializers.IntegerField()
    under_way = serializers.IntegerField()
    by_type = serializers.DictField(child=serializers.IntegerField())
    by_workflow = serializers.DictField(child=serializers.IntegerField())


class ActivatedSerializer(KillSwitchSerializer):
    preview = StopPreviewSerializer(required=False, help_text="Of a dry run.")

    class Meta(KillSwitchSerializer.Meta):
        fields = (*KillSwitchSerializer.Meta.fields, "preview")
        read_only_fields = fields


class LiftedSerializer(KillSwitchSerializer):
    preview = LiftPreviewSerializer(required=False, help_text="Of a dry run.")

    class Meta(KillSwitchSerializer.Meta):
        fields = (*KillSwitchSerializer.Meta.fields, "preview")
        read_only_fields = fields


class SwitchLift(ReasonGiven):
    release_per_second = WholeField(
        required=False,
        min_value=1,
        max_value=FASTEST_RELEASE,
        help_text=f"What was held comes back at this rate; {RELEASE_PER_SECOND} unless given.",
    )


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
