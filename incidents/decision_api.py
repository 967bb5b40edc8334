"""HTTP answers about one decision: what it was made from, and whether it is made the same again."""

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from incidents import replay
from incidents.models import Decision
from incidents.replay import Verdict
from incidents.serializers import DecisionSerializer
from safety import rules
from tenants.api import TenantAPIView, get_or_404


class ReplayedSerializer(serializers.Serializer[Any]):
    """The decision made again, just now, from its stored inputs and rules."""

    verdict = serializers.ChoiceField(
        choices=[verdict.value for verdict in Verdict],
        help_text="`same`: byte for byte. `altered`: what it was made from was edited since.",
    )
    says = serializers.ListField(
        child=serializers.CharField(), help_text="Where they differ, or what was edited."
    )
    input_hash = serializers.CharField(
        source="fingerprint", help_text="Of its inputs and rules as they are stored now."
    )


class DecisionDetailSerializer(DecisionSerializer):
    replay = ReplayedSerializer(source="replayed")

    class Meta(DecisionSerializer.Meta):
        fields: tuple[str, ...] = (*DecisionSerializer.Meta.fields, "replay")
        read_only_fields = fields


class DecisionDetail(TenantAPIView):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}
    subject: Decision

    def find(self, **kwargs: Any) -> Decision:
        return get_or_404(Decision.objects.for_tenant(self.caller.tenant), pk=kwargs["pk"])

    @extend_schema(responses=DecisionDetailSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        decision, known = self.subject, rules.overrides(self.caller.tenant.id)
        decision.replayed = replay.replay(decision, known)  # type: ignore[attr-defined]
        return Response(DecisionDetailSerializer(decision).data)
