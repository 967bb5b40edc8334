"""HTTP answers about runs: each translates once."""

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from awfdrs_site.lib import clock
from awfdrs_site.lib.pagination import Listing
from incidents import lifecycle
from incidents.api import OneIncident
from incidents.filters import RunFilters, RunsOfIncidentFilters
from incidents.models import AffectedRun, Run
from incidents.serializers import RunSerializer
from tenants.api import TenantAPIView, get_or_404
from tenants.serializers import ReasonGiven


class Runs(TenantAPIView):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}
    listing = Listing(RunSerializer, RunFilters)

    def get(self, request: Request) -> Response:
        mine = Run.objects.for_tenant(self.caller.tenant).select_related("workflow")
        return self.listing.answer(request, mine)


class IncidentRuns(OneIncident):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}
    listing = Listing(RunSerializer, RunsOfIncidentFilters)

    def get(self, request: Request, pk: UUID) -> Response:
        hurt = AffectedRun.objects.for_tenant(self.caller.tenant).filter(incident_id=pk)
        mine = Run.objects.for_tenant(self.caller.tenant).select_related("workflow")
        return self.listing.answer(request, mine.filter(pk__in=hurt.values("run_id")))


class OneRun(TenantAPIView):
    subject: Run

    def find(self, **kwargs: Any) -> Run:
        mine = Run.objects.for_tenant(self.caller.tenant).select_related("workflow")
        return get_or_404(mine, pk=kwargs["pk"])


class RunDetail(OneRun):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}

    @extend_schema(responses=RunSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(RunSerializer(self.subject).data)


class RunWaive(OneRun):
    verbs: ClassVar[Mapping[str, str]] = {"post": "waive"}

    @extend_schema(request=ReasonGiven, responses=RunSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        said = self.body(ReasonGiven)
        lifecycle.waive(self.subject, by=self.caller.actor, now=clock.now(), **said)
        self.subject.refresh_from_db()
        return self.wrote(RunSerializer(self.subject).data)
