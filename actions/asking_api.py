"""The HTTP answer of asking for an action of an incident by hand."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from actions import asking
from actions.api import IncidentActions, actions_of, refusals
from actions.asking import CannotAsk
from actions.compensation import NotCompensable
from actions.serializers import ActionDetailSerializer
from actions.states import ActionType
from awfdrs_site.lib import clock
from awfdrs_site.lib.problems import FieldError, Problem
from incidents.api import refusals as incident_refusals
from safety.killswitch import AlreadyActive
from tenants.api import get_or_404
from tenants.serializers import VerbSerializer


class ActionAsked(VerbSerializer):
    action_type = serializers.ChoiceField(choices=ActionType.choices)
    parameters = serializers.DictField(
        required=False,
        default=dict,
        help_text=(
            "notify, ticket: channel (id), text? · retry: run (id; not needed where it is the only one) · "
            "escalate: reason? · rollback: action (id of a retry), reason? · circuit_breaker_…: reason · "
            "kill_switch_activate: reason, scope? · kill_switch_deactivate: reason, switch (id)"
        ),
    )


class IncidentActionsAsked(IncidentActions):
    """GET lists an incident's actions, POST asks for one."""

    verbs: ClassVar[Mapping[str, str]] = {"get": "view", "post": "act"}

    @extend_schema(
        request=ActionAsked,
        responses={
            201: ActionDetailSerializer,
            200: OpenApiResponse(ActionDetailSerializer, "A dry run."),
        },
    )
    def post(self, request: Request, pk: UUID) -> Response:
        asked = self.body(ActionAsked)
        if not self.caller.may(asking.verb_of(asked["action_type"])):
            raise Problem("missing_scope" if self.caller.key_id else "forbidden")
        with refusals(), incident_refusals():
            action = self._ask(asked)
        found = get_or_404(actions_of(self).with_attempts(), pk=action.pk)
        return self.wrote(ActionDetailSerializer(found).data, status=HTTPStatus.CREATED)

    def _ask(self, asked: Mapping[str, Any]) -> Any:
        try:
            return asking.ask(
                self.subject,
                action_type=asked["action_type"],
                parameters=asked["parameters"],
                by=self.caller.actor,
                now=clock.now(),
            )
        except CannotAsk as refused:
            pointer = "/parameters" + (f"/{refused.name}" if refused.name else "")
            error = FieldError(pointer, "invalid", str(refused))
            raise Problem("validation_failed", errors=[error]) from refused
        except NotCompensable as refused:
            raise Problem("conflict", str(refused)) from refused
        except AlreadyActive as refused:
            raise Problem("conflict", "Such a kill switch is active already.") from refused
