"""The HTTP answer of asking for a retry to be compensated."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from actions import compensation
from actions.api import OneAction, written
from actions.compensation import NotCompensable
from actions.serializers import ActionDetailSerializer
from awfdrs_site.lib import clock
from awfdrs_site.lib.problems import Problem
from tenants.serializers import ReasonOrNote


class ActionCompensate(OneAction):
    verbs: ClassVar[Mapping[str, str]] = {"post": "act"}

    @extend_schema(
        request=ReasonOrNote,
        responses={
            201: ActionDetailSerializer,
            200: OpenApiResponse(ActionDetailSerializer, "A dry run."),
        },
    )
    def post(self, request: Request, pk: UUID) -> Response:
        said, by, now = self.body(ReasonOrNote), self.caller.actor, clock.now()
        reason = said["reason"] or said["note"]
        try:
            asked = compensation.ask(self.subject, reason=reason, by=by, now=now)
        except NotCompensable as refused:
            known: dict[str, Any] = {"id": str(refused.asked.pk)} if refused.asked else {}
            raise Problem("conflict", str(refused), **known) from refused
        return self.wrote(written(self, asked.pk), status=HTTPStatus.CREATED)
