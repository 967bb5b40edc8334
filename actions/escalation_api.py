"""HTTP answers about who is told of an incident, and who is next."""

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from actions.models import Escalation
from actions.states import EscalationStatus
from awfdrs_site.lib.pagination import Listing
from incidents.api import OneIncident


class StepSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=["channel", "person", "role", "everybody"])
    name = serializers.CharField()
    wait_minutes = serializers.IntegerField()


class EscalationSerializer(serializers.ModelSerializer[Escalation]):
    """`step` counts from zero and is the next one, as is `round`; `next_at` null: nobody else is told."""

    status = serializers.ChoiceField(choices=EscalationStatus.choices)
    steps = StepSerializer(many=True)

    class Meta:
        model = Escalation
        fields: tuple[str, ...] = (
            *("id", "tenant_id", "incident_id", "action_id", "policy_name", "status", "reason"),
            *("steps", "repeats", "acknowledge_minutes", "step", "round", "next_at"),
            *("started_at", "acknowledged_at", "ended_at", "version"),
        )
        read_only_fields = fields


class IncidentEscalations(OneIncident):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}
    listing = Listing(EscalationSerializer)

    def get(self, request: Request, pk: UUID) -> Response:
        mine = Escalation.objects.for_tenant(self.caller.tenant).filter(incident=self.subject)
        return self.listing.answer(request, mine)
