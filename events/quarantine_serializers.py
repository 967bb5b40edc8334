"""How refused events are asked for and written in the API."""

from base64 import b64encode
from typing import Any

import django_filters as filters
from django.db.models import QuerySet
from rest_framework import serializers

from awfdrs_site.lib.params import IdFilter, InstantFilter, TextFilter
from events.models import QuarantinedEvent
from tenants.serializers import FieldErrorSerializer, VerbSerializer

STATES = ("waiting", "replayed")


class QuarantineFilters(filters.FilterSet):  # type: ignore[misc]  # the library has no types
    state = filters.ChoiceFilter(choices=[(one, one) for one in STATES], method="of_state")
    code = TextFilter()
    reason = TextFilter()
    key = IdFilter(field_name="api_key_id")
    since = InstantFilter(field_name="received_at", lookup_expr="gte")
    until = InstantFilter(field_name="received_at", lookup_expr="lt")

    def of_state(
        self, rows: QuerySet[QuarantinedEvent], _name: str, value: str
    ) -> QuerySet[QuarantinedEvent]:
        return rows.filter(event_id__isnull=value == "waiting")


class QuarantinedSerializer(serializers.ModelSerializer[QuarantinedEvent]):
    errors = FieldErrorSerializer(many=True)  # type: ignore[assignment]  # the property of the same name is a form's
    key_id = serializers.UUIDField(source="api_key_id", allow_null=True)

    class Meta:
        model = QuarantinedEvent
        fields: tuple[str, ...] = (
            "id",
            "tenant_id",
            "key_id",
            "received_at",
            "code",
            "reason",
            "detail",
            "errors",
            "n_bytes",
            "correlation_id",
            "event_id",
            "replayed_at",
            "replayed_by",
        )
        read_only_fields = fields


class QuarantinedBodySerializer(QuarantinedSerializer):
    body = serializers.SerializerMethodField(help_text="As text; what is no UTF-8 is replaced.")
    body_base64 = serializers.SerializerMethodField(help_text="The bytes as they came.")
    is_cut = serializers.SerializerMethodField()

    class Meta(QuarantinedSerializer.Meta):
        fields = (*QuarantinedSerializer.Meta.fields, "body", "body_base64", "is_cut")
        read_only_fields = fields

    def get_body(self, kept: QuarantinedEvent) -> str:
        return bytes(kept.body).decode(errors="replace")

    def get_body_base64(self, kept: QuarantinedEvent) -> str:
        return b64encode(bytes(kept.body)).decode()

    def get_is_cut(self, kept: QuarantinedEvent) -> bool:
        return len(kept.body) < kept.n_bytes


class PatchField(serializers.DictField):
    """Fields of an event, as they are to be; each may be anything, null included."""

    def run_child_validation(self, data: Any) -> Any:
        return data


class ReplayBody(VerbSerializer):
    patch = PatchField(required=False)
