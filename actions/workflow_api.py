"""HTTP answers of one workflow's verbs: a new signing secret, and a test call with its real answer."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from actions import calls, signing_secrets, trials
from actions.serializers import RegisteredSerializer
from actions.trials import Trial
from awfdrs_site.lib import clock
from tenants.api import TenantAPIView, get_or_404
from tenants.models import Workflow
from tenants.scoping import bound
from tenants.serializers import NoFields, VerbSerializer, WholeField

OVERLAP_HOURS_MAX = 168  # a week: whoever needs longer has forgotten where it is used


class Rotation(VerbSerializer):
    overlap_hours = WholeField(
        required=False,
        min_value=0,
        max_value=OVERLAP_HOURS_MAX,
        default=int(signing_secrets.OVERLAP.total_seconds() // 3600),
        help_text="How long the secret before signs as well; 0 when it leaked.",
    )


class TrialSerializer(serializers.Serializer[Any]):
    request = serializers.DictField()
    is_accepted = serializers.BooleanField()
    status = serializers.IntegerField(allow_null=True)
    headers = serializers.DictField(child=serializers.CharField())
    excerpt = serializers.CharField(allow_blank=True)
    latency_ms = serializers.IntegerField(allow_null=True)
    error = serializers.CharField(allow_blank=True)


class OneWorkflow(TenantAPIView):
    subject: Workflow

    def find(self, **kwargs: Any) -> Workflow:
        mine = Workflow.objects.for_tenant(self.caller.tenant).select_related("vendor")
        found: Workflow = get_or_404(mine, pk=kwargs["pk"])
        return found


class WorkflowRotateSecret(OneWorkflow):
    verbs: ClassVar[Mapping[str, str]] = {"post": "configure"}

    @extend_schema(request=Rotation, responses=RegisteredSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        overlap = timedelta(hours=self.body(Rotation)["overlap_hours"])
        workflow, secret = signing_secrets.rotate(
            self.subject, by=self.caller.actor, now=clock.now(), overlap=overlap
        )
        # Of a dry run nobody shall keep one that will never sign.
        workflow.retry_secret = "" if self.is_dry_run else secret  # type: ignore[attr-defined]
        return self.wrote(RegisteredSerializer(workflow).data)


class WorkflowTest(OneWorkflow):
    """The call leaves in no transaction, so that this view opens its own blocks around it."""

    verbs: ClassVar[Mapping[str, str]] = {"post": "configure"}
    drivers = frozenset({"post"})

    def find(self, **kwargs: Any) -> Workflow:
        with bound(self.caller.tenant.id):
            return super().find(**kwargs)

    @extend_schema(request=NoFields, responses=TrialSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        self.body(NoFields)
        if self.is_dry_run:
            with bound(self.caller.tenant.id) as now:
                call = trials.call_of(self.subject, now=now)
            return self.wrote(_shown(Trial(calls.as_request(call), error=call.refusal)))
        return self.wrote(_shown(trials.run(self.subject, by=self.caller.actor)))


def _shown(trial: Trial) -> dict[str, Any]:
    return {**asdict(trial), "is_accepted": trial.is_accepted}
