"""HTTP answers about permission: what waits for people, the plan it is for, and their votes."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Prefetch
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from actions import voting
from actions.api import refusals
from actions.approval_serializers import (
    ApprovalDetailSerializer,
    ApprovalFilters,
    ApprovalSerializer,
    Rejection,
    VerdictBody,
)
from actions.models import Approval, ApprovalVote
from awfdrs_site.lib import clock
from awfdrs_site.lib.pagination import Listing
from tenants.api import TenantAPIView, get_or_404


class Approvals(TenantAPIView):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}
    listing = Listing(ApprovalSerializer, ApprovalFilters)

    def get(self, request: Request) -> Response:
        return self.listing.answer(request, Approval.objects.for_tenant(self.caller.tenant))


class OneApproval(TenantAPIView):
    subject: Approval

    def find(self, **kwargs: Any) -> Approval:
        tenant = self.caller.tenant
        votes = Prefetch("votes", ApprovalVote.objects.for_tenant(tenant).order_by("at", "id"))
        mine = Approval.objects.for_tenant(tenant).prefetch_related(votes)
        return get_or_404(mine, pk=kwargs["pk"])


class ApprovalDetail(OneApproval):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}

    @extend_schema(responses=ApprovalDetailSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(ApprovalDetailSerializer(self.subject).data)


class ApprovalVerdict(OneApproval):
    """POST …/approve and …/reject: a word on the plan as it was seen, the approval as it is afterwards."""

    verbs: ClassVar[Mapping[str, str]] = {"post": "approve"}
    act: Callable[..., Approval]
    said: ClassVar[type[VerdictBody]] = VerdictBody

    def answer(self, pk: UUID) -> Response:
        said = self.body(self.said)
        with refusals():
            type(self).act(
                self.subject,
                by=self.caller.actor,
                now=clock.now(),
                seen=said["plan_hash"],
                reason=said["reason"],
            )
        return self.wrote(ApprovalDetailSerializer(self.find(pk=pk)).data)


class ApprovalApprove(ApprovalVerdict):
    act = staticmethod(voting.approve)

    @extend_schema(request=VerdictBody, responses=ApprovalDetailSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        return self.answer(pk)


class ApprovalReject(ApprovalVerdict):
    act = staticmethod(voting.reject)
    said = Rejection

    @extend_schema(request=Rejection, responses=ApprovalDetailSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        return self.answer(pk)
