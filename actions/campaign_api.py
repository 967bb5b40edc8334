"""HTTP answers about campaigns: planned from an incident or a query, started, paused, resumed, aborted."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from actions import campaign_plans, campaign_progress, campaigns
from actions.campaign_plans import TooManyRuns
from actions.campaign_serializers import (
    CampaignDetailSerializer,
    CampaignFilters,
    CampaignPlan,
    CampaignRunFilters,
    CampaignRunSerializer,
    CampaignSerializer,
    terms_of,
)
from actions.campaigns import CampaignRefused, MayNotGo
from actions.models import Campaign, CampaignRun
from awfdrs_site.lib import clock
from awfdrs_site.lib.pagination import Listing
from awfdrs_site.lib.problems import FieldError, Problem
from incidents.filters import RunFilters
from incidents.models import Incident, Run
from incidents.querysets import RunQuerySet
from tenants.api import TenantAPIView, get_or_404
from tenants.serializers import ReasonOrNote


@contextmanager
def refusals() -> Iterator[None]:
    """What the verbs of `campaigns` raise, as the problems of API.md."""
    try:
        yield
    except CampaignRefused as refused:
        raise Problem(
            "transition_refused", str(refused.args[0]), allowed=list(refused.allowed)
        ) from refused
    except MayNotGo as refused:
        raise Problem("conflict", str(refused.args[0])) from refused


class Campaigns(TenantAPIView):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view", "post": "act"}
    listing = Listing(CampaignSerializer, CampaignFilters)

    def get(self, request: Request) -> Response:
        return self.listing.answer(request, Campaign.objects.for_tenant(self.caller.tenant))

    @extend_schema(
        request=CampaignPlan,
        responses={
            201: CampaignDetailSerializer,
            200: OpenApiResponse(CampaignDetailSerializer, "A dry run."),
        },
    )
    def post(self, request: Request) -> Response:
        asked = self.body(CampaignPlan)
        incident = self._incident(asked.get("incident"))
        query = {name: str(value) for name, value in asked.get("query", {}).items()}
        runs = campaign_plans.runs_of(incident) if incident else self._runs(query)
        try:
            campaign = campaign_plans.plan(
                runs,
                tenant_id=self.caller.tenant.id,
                incident=incident,
                query=query,
                terms=terms_of(asked.get("parameters", {})),
                by=self.caller.actor,
                now=clock.now(),
            )
        except TooManyRuns as refused:
            raise Problem("conflict", str(refused.args[0])) from refused
        return self.wrote(_written(campaign), status=HTTPStatus.CREATED)

    def _incident(self, pk: UUID | None) -> Incident | None:
        """An incident of another tenant is as unknown as one that never was."""
        if pk is None:
            return None
        found = Incident.objects.for_tenant(self.caller.tenant).filter(pk=pk).first()
        if found is None:
            error = FieldError("/incident", "unknown", "There is no such incident.")
            raise Problem("validation_failed", errors=[error])
        return found

    def _runs(self, query: Mapping[str, str]) -> RunQuerySet:
        mine = Run.objects.for_tenant(self.caller.tenant)
        found: RunQuerySet = RunFilters(data=query, queryset=mine).qs
        return found


class OneCampaign(TenantAPIView):
    subject: Campaign

    def find(self, **kwargs: Any) -> Campaign:
        return get_or_404(Campaign.objects.for_tenant(self.caller.tenant), pk=kwargs["pk"])


class CampaignDetail(OneCampaign):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}

    @extend_schema(responses=CampaignDetailSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(_written(self.subject))


class CampaignRuns(OneCampaign):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}
    listing = Listing(
        CampaignRunSerializer,
        CampaignRunFilters,
        orders={"place": "place", "id": "id"},
        default_order="place",
    )

    def get(self, request: Request, pk: UUID) -> Response:
        lines = CampaignRun.objects.for_tenant(self.caller.tenant).filter(campaign=self.subject)
        return self.listing.answer(request, lines.select_related("run"))


class CampaignVerb(OneCampaign):
    """POST …/start and its like: one verb, an optional reason, the campaign as it is afterwards."""

    verbs: ClassVar[Mapping[str, str]] = {"post": "act"}
    act: Callable[..., Campaign]
    takes_reason: ClassVar[bool] = True

    @extend_schema(request=ReasonOrNote, responses=CampaignDetailSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        said = self.body(ReasonOrNote)
        why = {"reason": said["reason"] or said["note"]} if self.takes_reason else {}
        with refusals():
            done = type(self).act(self.subject, by=self.caller.actor, now=clock.now(), **why)
        return self.wrote(_written(done))


class CampaignStart(CampaignVerb):
    act = staticmethod(campaigns.start)
    takes_reason = False


class CampaignPause(CampaignVerb):
    act = staticmethod(campaigns.pause)


class CampaignResume(CampaignVerb):
    act = staticmethod(campaigns.resume)


class CampaignAbort(CampaignVerb):
    act = staticmethod(campaigns.abort)


def _written(campaign: Campaign) -> Mapping[str, Any]:
    stages = campaign_progress.stages(campaign)
    campaign.stages = stages  # type: ignore[attr-defined]
    campaign.progress = campaign_progress.whole(stages)  # type: ignore[attr-defined]
    campaign.needs_another = campaigns.needs_another(campaign)  # type: ignore[attr-defined]
    data: Mapping[str, Any] = CampaignDetailSerializer(campaign).data
    return data
