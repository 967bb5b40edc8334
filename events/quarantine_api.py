"""HTTP answers about refused events: listed by reason, read with their bytes, cured and replayed."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from awfdrs_site.lib import clock
from awfdrs_site.lib.pagination import Listing
from awfdrs_site.lib.problems import Problem
from events import quarantine
from events.api import AcceptedSerializer
from events.models import QuarantinedEvent
from events.quarantine_serializers import (
    QuarantinedBodySerializer,
    QuarantinedSerializer,
    QuarantineFilters,
    ReplayBody,
)
from tenants.api import TenantAPIView, get_or_404
from tenants.scoping import bound


class Quarantine(TenantAPIView):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}
    listing = Listing(QuarantinedSerializer, QuarantineFilters)

    def get(self, request: Request) -> Response:
        mine = QuarantinedEvent.objects.for_tenant(self.caller.tenant).defer("body")
        return self.listing.answer(request, mine)


class OneQuarantined(TenantAPIView):
    subject: QuarantinedEvent

    def find(self, **kwargs: Any) -> QuarantinedEvent:
        mine = QuarantinedEvent.objects.for_tenant(self.caller.tenant)
        found: QuarantinedEvent = get_or_404(mine, pk=kwargs["pk"])
        return found


class QuarantinedDetail(OneQuarantined):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}

    @extend_schema(responses=QuarantinedBodySerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(QuarantinedBodySerializer(self.subject).data)


class QuarantineReplay(OneQuarantined):
    """Store it as it is or with `patch`; null takes a field away. Replaying twice creates once."""

    verbs: ClassVar[Mapping[str, str]] = {"post": "act"}
    drivers = frozenset({"post"})

    def find(self, **kwargs: Any) -> QuarantinedEvent:
        with bound(self.caller.tenant.id):
            return super().find(**kwargs)

    @extend_schema(
        request=ReplayBody,
        responses={
            201: AcceptedSerializer,
            200: OpenApiResponse(AcceptedSerializer, "Replayed before, or a dry run."),
        },
    )
    def post(self, request: Request, pk: UUID) -> Response:
        patch = self.body(ReplayBody).get("patch", {})
        outcome = quarantine.replay(
            self.subject,
            patch,
            by=self.caller.actor,
            now=clock.read(),
            dry_run=self.is_dry_run,
        )
        if isinstance(outcome, Problem):
            raise outcome
        if outcome.status == "replayed" and not self.is_dry_run:
            return Response(outcome.body(), headers={"Idempotent-Replayed": "true"})
        return self.wrote(outcome.body(), status=HTTPStatus.CREATED)
