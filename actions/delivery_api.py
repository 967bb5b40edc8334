"""HTTP answers about what was told to whom, and sending it again."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from actions import outbox
from actions.delivery_serializers import DeliveryFilters, DeliverySerializer
from actions.models import Delivery
from actions.outbox import ResendRefused
from awfdrs_site.lib import clock
from awfdrs_site.lib.pagination import Listing
from awfdrs_site.lib.problems import Problem
from tenants.api import TenantAPIView, get_or_404
from tenants.serializers import NoFields


class Deliveries(TenantAPIView):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}
    listing = Listing(DeliverySerializer, DeliveryFilters)

    def get(self, request: Request) -> Response:
        return self.listing.answer(request, _mine(self))


class DeliveryResend(TenantAPIView):
    verbs: ClassVar[Mapping[str, str]] = {"post": "act"}
    subject: Delivery

    def find(self, **kwargs: Any) -> Delivery:
        found: Delivery = get_or_404(_mine(self), pk=kwargs["pk"])
        return found

    @extend_schema(
        request=NoFields,
        responses={
            201: DeliverySerializer,
            200: OpenApiResponse(DeliverySerializer, "A dry run."),
        },
    )
    def post(self, request: Request, pk: UUID) -> Response:
        self.body(NoFields)
        try:
            again = outbox.resend(self.subject, by=self.caller.actor, now=clock.now())
        except ResendRefused as refused:
            raise Problem("conflict", str(refused)) from refused
        return self.wrote(DeliverySerializer(again).data, status=HTTPStatus.CREATED)


def _mine(view: TenantAPIView) -> Any:
    return Delivery.objects.for_tenant(view.caller.tenant).select_related("channel", "user")
