"""HTTP answers about what people say of the engine's findings, what worked, and how far it can be trusted."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from awfdrs_site.lib import clock
from awfdrs_site.lib.problems import Problem
from incidents import keeping, labels, reliability, track_record
from incidents.api import OneIncident, refusals
from incidents.labels import NothingDecided
from incidents.serializers import IncidentSerializer
from safety.rulefields import CATEGORIES
from tenants.api import TenantAPIView
from tenants.serializers import FlagField, ReasonField, VerbSerializer


class CategoryBody(VerbSerializer):
    """Its own category confirms it, another one corrects it."""

    category = serializers.ChoiceField(choices=list(CATEGORIES))


class FixBody(VerbSerializer):
    worked = FlagField(help_text="Whether what was chosen last fixed it.")
    note = ReasonField(required=False, allow_blank=True, default="")


class RecommendationSerializer(serializers.Serializer[Any]):
    """One action for failures like it. Fewer than five outcomes say nothing."""

    choice = serializers.CharField()
    n = serializers.IntegerField(help_text="Outcomes at this vendor.")
    worked = serializers.IntegerField()
    expected = serializers.FloatField(allow_null=True, help_text="Mean of the posterior.")
    lower = serializers.FloatField(allow_null=True, help_text="Its lower bound, one-sided 95 %.")
    says = serializers.CharField()
    needs_person = serializers.SerializerMethodField(help_text="Below AI_CONFIDENCE_THRESHOLD.")

    def get_needs_person(self, one: Any) -> bool:
        return bool(one.needs_person(settings.AI_CONFIDENCE_THRESHOLD))


class RecordSerializer(serializers.Serializer[Any]):
    category = serializers.CharField()
    vendor = serializers.CharField(allow_blank=True)
    actions = RecommendationSerializer(many=True)


class GroupSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    n = serializers.IntegerField()
    claimed = serializers.FloatField(help_text="Mean confidence.")
    right = serializers.FloatField(help_text="Share that people confirmed.")
    brier = serializers.FloatField()


class ReliabilitySerializer(serializers.Serializer[Any]):
    """Decisions against what people said of their category, of each incident the newest word."""

    n = serializers.IntegerField()
    brier = serializers.FloatField(allow_null=True, help_text="0 is perfect, 0.25 a coin.")
    right = serializers.FloatField(allow_null=True)
    by_confidence = GroupSerializer(many=True)
    by_category = GroupSerializer(many=True)


class IncidentCategory(OneIncident):
    verbs: ClassVar[Mapping[str, str]] = {"post": "acknowledge"}

    @extend_schema(request=CategoryBody, responses=IncidentSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        name = self.body(CategoryBody)["category"]
        with refusals():
            self.refuse_stale()
        row = keeping.locked(self.subject)
        labels.confirm(row, name, by=self.caller.actor, now=clock.now())
        return self.wrote(IncidentSerializer(self.find(pk=pk)).data)


class IncidentFixed(OneIncident):
    verbs: ClassVar[Mapping[str, str]] = {"post": "acknowledge"}

    @extend_schema(request=FixBody, responses=IncidentSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        said = self.body(FixBody)
        with refusals():
            self.refuse_stale()
        try:
            labels.mark(keeping.locked(self.subject), **said, by=self.caller.actor, now=clock.now())
        except NothingDecided as refused:
            raise Problem("conflict", str(refused)) from refused
        return self.wrote(IncidentSerializer(self.find(pk=pk)).data, status=HTTPStatus.OK)


class IncidentRecommendation(OneIncident):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}

    @extend_schema(responses=RecordSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(RecordSerializer(track_record.of(self.subject)).data)


class Reliability(TenantAPIView):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}

    @extend_schema(responses=ReliabilitySerializer)
    def get(self, request: Request) -> Response:
        return Response(ReliabilitySerializer(reliability.of(self.caller.tenant.id)).data)
