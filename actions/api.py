"""HTTP answers about what is done: actions, their verbs, and workflows with the secret that signs their retries."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from actions import by_hand, compensation, lifecycle, signing_secrets, voting
from actions.approval_serializers import VoteOnAction
from actions.executors.controls import Conflict
from actions.lifecycle import ActionRefused, NotReversible
from actions.models import Action
from actions.querysets import ActionQuerySet
from actions.serializers import (
    ActionDetailSerializer,
    ActionFilters,
    ActionSerializer,
    RegisteredSerializer,
    WorkflowFilters,
    WorkflowRegistration,
    WorkflowSerializer,
)
from actions.transport import Refused, check_url
from actions.vote_refusals import ApprovalRefused, OfCampaign, OwnRequest, PlanChanged
from awfdrs_site.lib import clock
from awfdrs_site.lib.ids import uuid7
from awfdrs_site.lib.pagination import Listing
from awfdrs_site.lib.problems import FieldError, Problem
from events.ingest import WORKFLOW_LIMIT
from incidents.api import OneIncident
from incidents.models import Incident
from tenants import journal
from tenants.api import TenantAPIView, get_or_404
from tenants.models import Vendor, Workflow
from tenants.serializers import ReasonOrNote

URL_FIELDS = ("retry_url", "status_url", "compensate_url")


@contextmanager
def refusals(**offered: Any) -> Iterator[None]:
    """What the verbs of `lifecycle` and `by_hand` raise, as the problems of API.md; `offered` instead of undoing."""
    try:
        yield
    except ActionRefused as refused:
        raise Problem(
            "transition_refused", str(refused.args[0]), allowed=list(refused.allowed)
        ) from refused
    except ApprovalRefused as refused:
        raise Problem("transition_refused", str(refused.args[0]), allowed=[]) from refused
    except OwnRequest as refused:
        raise Problem("own_request", str(refused.args[0])) from refused
    except PlanChanged as refused:
        raise Problem(
            "plan_changed",
            str(refused.args[0]),
            n_actions=refused.n_actions,
            changed=refused.changed,
        ) from refused
    except OfCampaign as refused:
        raise Problem("conflict", str(refused.args[0])) from refused
    except NotReversible as refused:
        raise Problem("conflict", str(refused.args[0]), **offered) from refused
    except Conflict as refused:
        raise Problem(
            "conflict", str(refused.args[0]), found=refused.found, wanted=refused.wanted
        ) from refused


class Actions(TenantAPIView):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}
    listing = Listing(ActionSerializer, ActionFilters, orders={"id": "id", "run_at": "run_at"})

    def get(self, request: Request) -> Response:
        return self.listing.answer(request, actions_of(self))


class IncidentActions(OneIncident):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}
    listing = Listing(ActionSerializer)

    def get(self, request: Request, pk: UUID) -> Response:
        shown = Incident.objects.for_tenant(self.caller.tenant).with_members(pk)
        return self.listing.answer(request, actions_of(self).shown_on(shown))


class OneAction(TenantAPIView):
    subject: Action

    def find(self, **kwargs: Any) -> Action:
        return get_or_404(actions_of(self).with_attempts(), pk=kwargs["pk"])


class ActionDetail(OneAction):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}

    @extend_schema(responses=ActionDetailSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(ActionDetailSerializer(self.subject).data)


class ActionVerb(OneAction):
    """POST …/approve and its like: one verb, an optional reason, the action as it is afterwards."""

    verbs: ClassVar[Mapping[str, str]] = {"post": "act"}
    act: Callable[..., Action]
    takes_reason: ClassVar[bool] = True

    @extend_schema(request=ReasonOrNote, responses=ActionDetailSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        said = self.body(ReasonOrNote)
        why = {"reason": said["reason"] or said["note"]} if self.takes_reason else {}
        with refusals():
            type(self).act(self.subject, by=self.caller.actor, now=clock.now(), **why)
        return self.wrote(written(self, pk))


class ActionVote(ActionVerb):
    """The same of what waits for approval: the plan as it was seen may be said."""

    verbs: ClassVar[Mapping[str, str]] = {"post": "approve"}

    @extend_schema(request=VoteOnAction, responses=ActionDetailSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        said = self.body(VoteOnAction)
        why = {"reason": said["reason"] or said["note"]} if self.takes_reason else {}
        seen = {"seen": said["plan_hash"]}
        with refusals():
            type(self).act(self.subject, by=self.caller.actor, now=clock.now(), **why, **seen)
        return self.wrote(written(self, pk))


class ActionApprove(ActionVote):
    act = staticmethod(voting.approve_action)


class ActionReject(ActionVote):
    act = staticmethod(voting.reject_action)


class ActionSkip(ActionVerb):
    act = staticmethod(lifecycle.skip)


class ActionRun(ActionVote):
    verbs: ClassVar[Mapping[str, str]] = {"post": "act"}
    act = staticmethod(voting.run_action)
    takes_reason = False


class ActionReverse(OneAction):
    verbs: ClassVar[Mapping[str, str]] = {"post": "act"}

    @extend_schema(
        request=ReasonOrNote,
        responses={
            201: ActionDetailSerializer,
            200: OpenApiResponse(ActionDetailSerializer, "A dry run."),
        },
    )
    def post(self, request: Request, pk: UUID) -> Response:
        said = self.body(ReasonOrNote)
        with refusals(**_offer(self.subject)):
            reversing = by_hand.reverse(
                self.subject,
                reason=said["reason"] or said["note"],
                by=self.caller.actor,
                now=clock.now(),
            )
        return self.wrote(written(self, reversing.pk), status=HTTPStatus.CREATED)


class Workflows(TenantAPIView):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view", "post": "configure"}
    listing = Listing(
        WorkflowSerializer, WorkflowFilters, orders={"slug": "slug"}, default_order="slug"
    )

    def get(self, request: Request) -> Response:
        mine = Workflow.objects.for_tenant(self.caller.tenant).select_related("vendor")
        return self.listing.answer(request, mine)

    @extend_schema(
        request=WorkflowRegistration,
        responses={
            201: RegisteredSerializer,
            200: OpenApiResponse(RegisteredSerializer, "A dry run."),
        },
    )
    def post(self, request: Request) -> Response:
        asked = self.body(WorkflowRegistration)
        _refuse_urls(asked)
        mine = Workflow.objects.for_tenant(self.caller.tenant)
        if mine.count() >= WORKFLOW_LIMIT:
            raise Problem("conflict", f"A tenant has at most {WORKFLOW_LIMIT} workflows.")
        workflow, secret = self._register(asked)
        workflow.retry_secret = secret  # type: ignore[attr-defined]
        return self.wrote(RegisteredSerializer(workflow).data, status=HTTPStatus.CREATED)

    def _register(self, asked: Mapping[str, Any]) -> tuple[Workflow, str]:
        """The unique constraint decides between two that register one slug at once."""
        tenant_id, now = self.caller.tenant.id, clock.now()
        workflow = Workflow(
            id=uuid7(now),
            tenant_id=tenant_id,
            created_at=now,
            **{**asked, "vendor": _vendor(tenant_id, asked.get("vendor"))},
        )
        secret = signing_secrets.make(workflow)
        Workflow.objects.bulk_create([workflow], ignore_conflicts=True)
        stored = Workflow.objects.for_tenant(tenant_id).get(slug=workflow.slug)
        if stored.pk != workflow.pk:
            raise Problem("conflict", "This slug is registered already.", id=str(stored.pk))
        journal.record(
            workflow, "workflow_registered", by=self.caller.actor, at=now, slug=workflow.slug
        )
        return workflow, secret


def actions_of(view: TenantAPIView) -> ActionQuerySet:
    return Action.objects.for_tenant(view.caller.tenant).for_list()


def written(view: OneAction, pk: UUID) -> Mapping[str, Any]:
    found = view.find(pk=pk)
    data: Mapping[str, Any] = ActionDetailSerializer(found).data
    return data


def _offer(action: Action) -> dict[str, str]:
    """What can be asked instead of undoing what was sent."""
    if compensation.why_not(action):
        return {}
    return {"compensate": f"/api/v1/actions/{action.pk}/compensate"}


def _refuse_urls(asked: Mapping[str, Any]) -> None:
    errors = []
    for name in URL_FIELDS:
        try:
            if name in asked:
                check_url(asked[name], allow_cidrs=settings.OUTBOUND_ALLOW_CIDRS)
        except Refused as refused:
            errors.append(FieldError(f"/{name}", "refused", str(refused.args[0])))
    if errors:
        raise Problem("validation_failed", errors=errors)


def _vendor(tenant_id: UUID, name: str | None) -> Vendor | None:
    if name is None:
        return None
    Vendor.objects.bulk_create([Vendor(tenant_id=tenant_id, name=name)], ignore_conflicts=True)
    found: Vendor = Vendor.objects.for_tenant(tenant_id).get(name=name)
    return found
