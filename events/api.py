"""The HTTP doors for events: one and many. They only translate; `events.door` judges, stores and counts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from awfdrs_site.lib import api_errors, bodies, metrics, params
from awfdrs_site.lib.problems import Problem, as_dict, of_body
from awfdrs_site.lib.strict_json import TooLarge
from events import batches, door
from events.door import Outcome, Sender
from events.rate import Taken
from tenants.access import Caller
from tenants.api import TenantAPIView
from tenants.serializers import ProblemSerializer

BATCH_INSTANCE = "/api/v1/events/batch#/events"
LINES = "application/x-ndjson"


class EventBody(serializers.Serializer[Any]):
    """Documents the body; `events.validation` reads it. Unknown fields are kept in `extra`."""

    tenant_id = serializers.UUIDField(required=False, allow_null=True)
    workflow_id = serializers.UUIDField(required=False)
    workflow = serializers.RegexField(r"^[a-z0-9][a-z0-9._-]{0,99}$", required=False)
    event_type = serializers.RegexField(r"^[a-z0-9][a-z0-9._-]{2,254}$")
    payload = serializers.DictField()
    occurred_at = serializers.DateTimeField()
    idempotency_key = serializers.RegexField(r"^[\x21-\x7e]{1,255}$", required=False)
    schema_version = serializers.CharField(required=False)
    run_id = serializers.CharField(required=False, max_length=200)


class AcceptedSerializer(serializers.Serializer[Any]):
    event_id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=["accepted"])
    correlation_id = serializers.CharField()
    warnings = serializers.ListField(child=serializers.CharField(), required=False)
    dry_run = serializers.BooleanField(required=False)


class BatchBody(serializers.Serializer[Any]):
    events = EventBody(many=True)


class BatchResultSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField()
    status = serializers.ChoiceField(choices=["accepted", "replayed", "rejected"])
    event_id = serializers.UUIDField(required=False)
    error = ProblemSerializer(required=False)


class BatchSerializer(serializers.Serializer[Any]):
    accepted = serializers.IntegerField()
    replayed = serializers.IntegerField()
    rejected = serializers.IntegerField()
    results = BatchResultSerializer(many=True)
    dry_run = serializers.BooleanField(required=False)


class EventDoor(TenantAPIView):
    """The door opens durable blocks of its own, so none is open around it."""

    verbs: ClassVar[Mapping[str, str]] = {"post": "ingest"}
    drivers = frozenset({"post"})
    taken: Taken | None = None
    is_counted = False  # the door has what it needs to count this request

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        limit = getattr(request._request, "scope", {}).get(bodies.TOO_LARGE)
        if limit is not None:
            raise of_body(TooLarge(limit))

    @extend_schema(
        request=EventBody,
        responses={
            201: AcceptedSerializer,
            200: OpenApiResponse(AcceptedSerializer, "A replay, or a dry run."),
        },
    )
    def post(self, request: Request) -> Response:
        with metrics.timed(metrics.INGESTION_SECONDS):
            raw = request._request.body
            if raw:  # without one its type says nothing
                bodies.refuse_other_types(request._request)
            self.is_counted = True
            self.taken = door.admit(self.sender)
            verdict = door.take(self.sender, raw)
        if verdict.status == "replayed":
            return Response(verdict.body(), headers={"Idempotent-Replayed": "true"})
        return self.wrote(verdict.body(), status=HTTPStatus.CREATED)

    @property
    def sender(self) -> Sender:
        correlation_id: str = self.request.correlation_id  # type: ignore[attr-defined]
        return Sender(self.caller, correlation_id, self.is_dry_run)

    def handle_exception(self, exc: Exception) -> Response:
        """What the door never saw is in the books too: another type, an unknown parameter, another tenant."""
        response: Response = super().handle_exception(exc)
        caller: Caller | None = getattr(self, "caller", None)
        is_ours = self.request.method == "POST" and caller is not None and caller.may("ingest")
        if is_ours and not self.is_counted and response.status_code < 500:
            self.is_dry_run = self.request.query_params.get("dry_run") == "true"
            door.refuse(self.sender, api_errors.problem_for(exc))
        return response

    def finalize_response(self, request: Request, response: Any, *args: Any, **kw: Any) -> Any:
        answer = super().finalize_response(request, response, *args, **kw)
        for name, value in (self.taken.headers if self.taken else {}).items():
            answer[name] = value
        return answer


class EventBatch(EventDoor):
    @classmethod
    def parameters_of(cls, method: str) -> tuple[str, ...]:
        return (*super().parameters_of(method), "atomic")

    @extend_schema(
        request={"application/json": BatchBody, LINES: OpenApiTypes.STR},
        responses={
            201: BatchSerializer,
            207: OpenApiResponse(BatchSerializer, "Not all of them were new."),
            200: OpenApiResponse(BatchSerializer, "A dry run."),
        },
    )
    def post(self, request: Request) -> Response:
        is_atomic = params.flag(request.query_params, "atomic")
        with metrics.timed(metrics.INGESTION_SECONDS):
            outcomes = self._outcomes(request, is_atomic=is_atomic)
        answer = self._answer(outcomes)
        if is_atomic and answer["rejected"]:
            raise Problem("validation_failed", "None was stored: not all are valid.", **answer)
        all_new = answer["accepted"] == len(outcomes)
        status = HTTPStatus.CREATED if all_new else HTTPStatus.MULTI_STATUS
        return self.wrote(answer, status=status)

    def _outcomes(self, request: Request, *, is_atomic: bool) -> list[Outcome]:
        is_lines = request._request.content_type == LINES
        is_packed = bodies.encoding_of(request._request) == "gzip"
        raw = request._request.body
        if raw:
            bodies.refuse_other_types(
                request._request, types=("application/json", LINES), encodings=("identity", "gzip")
            )
        self.is_counted = True
        try:
            raw = batches.unpacked(raw) if is_packed else raw
            items = batches.items(raw, is_lines=is_lines)
        except Problem as problem:
            self.taken = door.admit(self.sender, is_batch=True)
            raise door.refuse(self.sender, problem, body=raw) from None
        self.taken = door.admit(self.sender, n=len(items), is_batch=True)
        return door.take_all(self.sender, items, is_atomic=is_atomic)

    def _answer(self, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        results = [self._result(index, outcome) for index, outcome in enumerate(outcomes)]
        counts = Counter(result["status"] for result in results)
        told = {status: counts[status] for status in ("accepted", "replayed", "rejected")}
        return {**told, "results": results}

    def _result(self, index: int, outcome: Outcome) -> dict[str, Any]:
        if isinstance(outcome, Problem):
            error = as_dict(
                outcome,
                instance=f"{BATCH_INSTANCE}/{index}",
                correlation_id=self.sender.correlation_id,
            )
            return {"index": index, "status": "rejected", "error": error}
        return {"index": index, "status": outcome.status, "event_id": str(outcome.event_id)}
