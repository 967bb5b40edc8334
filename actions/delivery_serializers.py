"""How deliveries are asked for and written in the API."""

import django_filters as filters
from rest_framework import serializers

from actions.models import Delivery
from actions.states import DeliveryKind, DeliveryStatus
from awfdrs_site.lib.params import IdFilter, InstantFilter


class DeliveryFilters(filters.FilterSet):  # type: ignore[misc]  # the library has no types
    status = filters.ChoiceFilter(choices=DeliveryStatus.choices)
    kind = filters.ChoiceFilter(choices=DeliveryKind.choices)
    channel = IdFilter(field_name="channel_id")
    incident = IdFilter(field_name="incident_id")
    action = IdFilter(field_name="action_id")
    since = InstantFilter(field_name="created_at", lookup_expr="gte")
    until = InstantFilter(field_name="created_at", lookup_expr="lt")


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    channel = serializers.CharField(source="channel.name", default=None, allow_null=True)
    person = serializers.CharField(source="user.username", default=None, allow_null=True)

    class Meta:
        model = Delivery
        fields: tuple[str, ...] = (
            "id",
            "tenant_id",
            "kind",
            "status",
            "channel_id",
            "channel",
            "person",
            "incident_id",
            "action_id",
            "subject",
            "text",
            "sent_with_id",
            "attempts_made",
            "due_at",
            "expires_at",
            "response_status",
            "response_excerpt",
            "latency_ms",
            "error",
            "correlation_id",
            "created_at",
            "sent_at",
            "version",
        )
        read_only_fields = fields
