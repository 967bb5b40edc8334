"""The HTTP answer of letting one parked action past the kill switches that hold it."""

from collections.abc import Mapping
from typing import ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from actions import canary
from actions.api import OneAction, refusals, written
from actions.canary import NotHeld
from actions.serializers import ActionDetailSerializer
from awfdrs_site.lib import clock
from awfdrs_site.lib.problems import Problem
from tenants.serializers import ReasonGiven


class ActionCanary(OneAction):
    """Who may stop may let one through."""

    verbs: ClassVar[Mapping[str, str]] = {"post": "stop"}

    @extend_schema(request=ReasonGiven, responses=ActionDetailSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        said, by = self.body(ReasonGiven), self.caller.actor
        try:
            with refusals():
                canary.let_through(self.subject, reason=said["reason"], by=by, now=clock.now())
        except NotHeld as refused:
            raise Problem("conflict", str(refused)) from refused
        return self.wrote(written(self, pk))
