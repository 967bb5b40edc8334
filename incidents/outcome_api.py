"""HTTP answers about what events report: the tenant's own rules, and what is shipped."""

from collections.abc import Mapping
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from awfdrs_site.lib.pagination import Listing
from incidents.analysis.outcome import SHIPPED
from incidents.models import OutcomeRule
from incidents.states import Outcome
from tenants.api import TenantAPIView


class ShippedRuleSerializer(serializers.Serializer[Any]):
    """A condition that is empty is not asked."""

    source = serializers.CharField(default="shipped")  # type: ignore[assignment]  # the field's name
    outcome = serializers.ChoiceField(choices=Outcome.choices)
    event_type = serializers.CharField()
    status = serializers.CharField()
    error_code = serializers.CharField()
    payload_path = serializers.CharField()
    payload_value = serializers.CharField()


class OutcomeRuleSerializer(serializers.ModelSerializer[OutcomeRule]):
    source = serializers.CharField(default="tenant")  # type: ignore[assignment]

    class Meta:
        model = OutcomeRule
        fields = (
            "id",
            "tenant_id",
            "source",
            "position",
            "outcome",
            "event_type",
            "status",
            "error_code",
            "payload_path",
            "payload_value",
            "is_enabled",
            "reason",
            "created_by",
            "created_at",
        )
        read_only_fields = fields


class OutcomeRulePage(serializers.Serializer[Any]):
    """The tenant's own, then what is shipped: the first that holds decides."""

    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = OutcomeRuleSerializer(many=True)
    shipped = ShippedRuleSerializer(many=True)


class OutcomeRules(TenantAPIView):
    """In the order in which they are asked, those that are switched off among them."""

    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}
    listing = Listing(
        OutcomeRuleSerializer, orders={"position": "position"}, default_order="position"
    )

    @extend_schema(responses=OutcomeRulePage)
    def get(self, request: Request) -> Response:
        rows = OutcomeRule.objects.for_tenant(self.caller.tenant)
        shipped = ShippedRuleSerializer(SHIPPED, many=True).data
        return self.listing.answer(request, rows, extra={"shipped": shipped})
