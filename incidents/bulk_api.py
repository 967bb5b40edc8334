"""HTTP answers about one verb for many incidents: asked for, followed, taken back."""

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from awfdrs_site.lib import clock, query
from awfdrs_site.lib.problems import FieldError, Problem
from awfdrs_site.lib.query import QueryError
from incidents import assigning, bulk, bulk_verbs
from incidents.api import refusals
from incidents.assigning import NobodyByThatName
from incidents.bulk import TooMany, UnknownIncident
from incidents.models import BulkItem, BulkJob
from incidents.presentation.shapes import NOTHING_ABOVE, Above
from incidents.query_filters import Asker
from incidents.querysets import IncidentQuerySet
from incidents.states import BulkState
from incidents.triage_api import Acknowledgement, Assignment, SnoozeBody, unfit
from tenants.api import TenantAPIView, get_or_404
from tenants.serializers import (
    FlagField,
    IdField,
    NoFields,
    ReasonGiven,
    ReasonOrNote,
    TextField,
    VerbSerializer,
)

NOT_FOR_MANY = ("version", "tenant_id")


class Resolution(ReasonOrNote):
    waive_unrecovered = FlagField(required=False, default=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["waive_unrecovered"] and not (attrs["reason"] or attrs["note"]):
            raise serializers.ValidationError({"reason": ["Say why the runs are given up."]})
        return attrs


PARAMETERS: dict[str, type[VerbSerializer]] = {
    "acknowledge": Acknowledgement,
    "assign": Assignment,
    "snooze": SnoozeBody,
    "wake": ReasonOrNote,
    "resolve": Resolution,
    "ignore": ReasonGiven,
    "escalate": ReasonGiven,
    "reopen": ReasonOrNote,
}


class BulkAsked(VerbSerializer):
    """`query` in the console's language, or `ids`: one of the two."""

    verb = serializers.ChoiceField(choices=bulk_verbs.VERBS)
    query = TextField(required=False, max_length=query.LENGTH)
    ids = serializers.ListField(
        child=IdField(), required=False, min_length=1, max_length=bulk.IDS_MOST
    )
    parameters = serializers.DictField(
        required=False, help_text="The body of the verb for one incident."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("query" in attrs) == ("ids" in attrs):
            raise serializers.ValidationError("Say query or ids, one of the two.", code="one_of")
        return attrs


class BulkAccepted(serializers.Serializer[Any]):
    job_id = serializers.UUIDField()
    incidents = serializers.IntegerField(help_text="How many it will be done to.")


class FailureSerializer(serializers.ModelSerializer[BulkItem]):
    number = serializers.CharField(source="incident.__str__")

    class Meta:
        model = BulkItem
        fields: tuple[str, ...] = ("incident_id", "number", "state", "reason")
        read_only_fields = fields


class BulkSerializer(serializers.ModelSerializer[BulkJob]):
    state = serializers.ChoiceField(choices=BulkState.choices)
    created_by = serializers.CharField(source="actor_label")
    total = serializers.IntegerField(source="progress.total")
    waiting = serializers.IntegerField(source="progress.waiting")
    done = serializers.IntegerField(source="progress.done")
    unchanged = serializers.IntegerField(source="progress.unchanged")
    failed = serializers.IntegerField(source="progress.failed")
    undone = serializers.IntegerField(source="progress.undone")
    kept = serializers.IntegerField(
        source="progress.kept", help_text="Not taken back: changed since, or for good."
    )
    failures = FailureSerializer(many=True, help_text="The first of those refused or kept.")

    class Meta:
        model = BulkJob
        fields: tuple[str, ...] = (
            *("id", "tenant_id", "verb", "query", "state", "created_by", "created_at"),
            *("finished_at", "total", "waiting", "done", "unchanged", "failed", "undone"),
            *("kept", "failures"),
        )
        read_only_fields = fields


class IncidentsBulk(TenantAPIView):
    """One verb for all that a query finds now, or for these; it is worked in the background."""

    verbs: ClassVar[Mapping[str, str]] = {"post": "bulk"}
    above: Above = NOTHING_ABOVE  # `is:attention` asks it who waits for people

    @extend_schema(request=BulkAsked, responses={202: BulkAccepted})
    def post(self, request: Request) -> Response:
        asked = self.body(BulkAsked)
        verb, caller = asked["verb"], self.caller
        if not caller.may(bulk_verbs.NEEDS.get(verb, verb)):
            raise Problem("missing_scope" if caller.key_id else "forbidden")
        said = self._parameters(verb, asked.get("parameters", {}))
        try:
            job = bulk.ask(
                caller.tenant.id,
                verb,
                self._rows(asked),
                parameters=said,
                query=asked.get("query", ""),
                by=caller.actor,
                now=clock.now(),
            )
        except TooMany as many:
            raise unfit("query", "range", many) from many
        answer = {"job_id": str(job.pk), "incidents": bulk.progress(job).total}
        return self.wrote(answer, status=202)

    def _rows(self, asked: Mapping[str, Any]) -> IncidentQuerySet:
        caller = self.caller
        try:
            if "ids" in asked:
                return bulk.chosen(caller.tenant.id, asked["ids"])
            waiting = self.above.waiting_for_people(caller.tenant.id)
            asker = Asker(caller.tenant.id, clock.now(), caller.user_id, waiting)
            return bulk.matching(asker, asked["query"])
        except QueryError as wrong:
            raise unfit("query", "query", ValueError(str(wrong))) from wrong
        except UnknownIncident as unknown:
            errors = [
                FieldError(f"/ids/{place}", "unknown", str(unknown.args[0]))
                for place, pk in enumerate(asked["ids"])
                if pk in unknown.unknown
            ]
            raise Problem("validation_failed", errors=errors) from unknown

    def _parameters(self, verb: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """As the verb's own body is read, and as the job keeps it."""
        serializer = PARAMETERS[verb](data=given)
        if not serializer.is_valid():
            raise serializers.ValidationError({"parameters": serializer.errors})
        said = {k: v for k, v in serializer.validated_data.items() if k not in NOT_FOR_MANY}
        if "until" in said:
            said["until"] = said["until"].isoformat()
        if "assignee" in said:
            said["assignee"] = self._person(said["assignee"])
        return said

    def _person(self, name: str | None) -> int | None:
        try:
            tenant_id, me = self.caller.tenant.id, self.caller.user_id
            return assigning.person(tenant_id, name, me=me).pk if name is not None else None
        except NobodyByThatName as unknown:
            raise unfit("parameters/assignee", "unknown", unknown) from unknown


class OneJob(TenantAPIView):
    """Finds the job in the path."""

    subject: BulkJob

    def find(self, **kwargs: Any) -> BulkJob:
        return get_or_404(BulkJob.objects.for_tenant(self.caller.tenant), pk=kwargs["pk"])


class Bulk(OneJob):
    """How far a job is, and what was refused."""

    verbs: ClassVar[Mapping[str, str]] = {"get": "view"}

    @extend_schema(responses=BulkSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(_written(self.subject))


class BulkUndo(OneJob):
    """Take a finished job back, each incident exactly; those that changed since stay, and are named."""

    verbs: ClassVar[Mapping[str, str]] = {"post": "undo"}

    @extend_schema(request=NoFields, responses={202: BulkSerializer})
    def post(self, request: Request, pk: UUID) -> Response:
        self.body(NoFields)
        with refusals():
            job = bulk.ask_back(self.subject, by=self.caller.actor, now=clock.now())
        return self.wrote(_written(job), status=202)


def _written(job: BulkJob) -> Mapping[str, Any]:
    job.progress = bulk.progress(job)  # type: ignore[attr-defined]
    job.failures = bulk.failures(job)  # type: ignore[attr-defined]
    data: Mapping[str, Any] = BulkSerializer(job).data
    return data
