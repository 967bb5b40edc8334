"""HTTP answers to "why is this not retrying?"."""

from collections.abc import Mapping
from typing import ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from actions import explain
from awfdrs_site.lib import clock
from incidents.run_api import OneRun
from incidents.serializers import ExplanationSerializer


class RunExplain(OneRun):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}

    @extend_schema(responses=ExplanationSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        explanation = explain.of_run(self.subject, now=clock.now())
        return Response(ExplanationSerializer(explanation).data)
