"""The HTTP doors for events: one and many. Both only translate; `ingest.store` is the one that stores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, ClassVar

from django.conf import settings
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from awfdrs_site.lib import bodies, clock, metrics, strict_json
from awfdrs_site.lib.problems import FieldError, Problem, as_dict
from events import ingest
from events.ingest import Submission, Verdict
from events.validation import IncomingEvent, InvalidEvent, TenantMismatch, parse_event
from tenants.api import TenantAPIView
from tenants.serializers import ProblemSerializer

BATCH_MOST = 1000
_UNDER_EVENTS = 2  # {"events": [ … ]} is two levels around each item


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


@dataclass(frozen=True)
class Judged:
    """One body after validation: an event, or the problem with it."""

    event: IncomingEvent | None = None
    problem: Problem | None = None


class EventDoor(TenantAPIView):
    """`store` opens a durable block of its own, so none is open around it."""

    verbs: ClassVar[Mapping[str, str]] = {"post": "ingest"}
    drivers = frozenset({"post"})

    @extend_schema(
        request=EventBody,
        responses={
            201: AcceptedSerializer,
            200: OpenApiResponse(AcceptedSerializer, "A replay, or a dry run."),
        },
    )
    def post(self, request: Request) -> Response:
        with metrics.timed(metrics.INGESTION_SECONDS):
            judged = self.judge(bodies.read(request._request), now=clock.now())
            (verdict,) = self.store([judged])
        if isinstance(verdict, Problem):
            raise verdict
        if verdict.status == "replayed":
            return Response(verdict.body(), headers={"Idempotent-Replayed": "true"})
        return self.wrote(verdict.body(), status=HTTPStatus.CREATED)

    def judge(self, body: object, *, now: datetime) -> Judged:
        try:
            event = parse_event(
                body,
                tenant_id=self.caller.tenant.id,
                now=now,
                retention_days=settings.EVENT_RETENTION_DAYS,
            )
        except TenantMismatch:
            return Judged(problem=Problem("tenant_mismatch"))
        except InvalidEvent as invalid:
            return Judged(problem=Problem("validation_failed", errors=invalid.errors))
        return Judged(event=event)

    def store(self, judged: Sequence[Judged]) -> list[Verdict | Problem]:
        """The verdict or problem of each, in order; what is valid is committed."""
        correlation_id: str = self.request.correlation_id  # type: ignore[attr-defined]
        valid = [j.event for j in judged if j.event is not None]
        verdicts = iter(
            ingest.store(
                self.caller.tenant.id,
                [Submission(event, correlation_id) for event in valid],
                dry_run=self.is_dry_run,
            )
            if valid
            else ()
        )
        outcomes = [_outcome(j, next(verdicts) if j.event else None) for j in judged]
        if not self.is_dry_run:
            self._count(judged, outcomes)
        return outcomes

    def _count(self, judged: Sequence[Judged], outcomes: Sequence[Verdict | Problem]) -> None:
        tenant_id = str(self.caller.tenant.id)
        for one, outcome in zip(judged, outcomes, strict=True):
            workflow = metrics.WORKFLOWS.known(_workflow_label(one.event))
            kind = metrics.EVENT_TYPES.known(one.event.event_type if one.event else "")
            if isinstance(outcome, Problem):
                metrics.EVENTS_REJECTED.labels(tenant_id, workflow, kind, outcome.code).inc()
            elif outcome.status == "replayed":
                metrics.DUPLICATES.labels(tenant_id).inc()
            else:
                metrics.EVENTS_INGESTED.labels(tenant_id, workflow, kind).inc()


class EventBatch(EventDoor):
    @extend_schema(
        request=BatchBody,
        responses={
            201: BatchSerializer,
            207: OpenApiResponse(BatchSerializer, "Not all of them were new."),
            200: OpenApiResponse(BatchSerializer, "A dry run."),
        },
    )
    def post(self, request: Request) -> Response:
        with metrics.timed(metrics.INGESTION_SECONDS):
            items, now = self._items(), clock.now()
            outcomes = self.store([self._judge_item(item, now=now) for item in items])
        results = [self._result(index, outcome) for index, outcome in enumerate(outcomes)]
        counts = {
            status: sum(result["status"] == status for result in results)
            for status in ("accepted", "replayed", "rejected")
        }
        all_new = counts["accepted"] == len(results)
        status = HTTPStatus.CREATED if all_new else HTTPStatus.MULTI_STATUS
        return self.wrote({**counts, "results": results}, status=status)

    def _items(self) -> list[object]:
        body = bodies.read(
            self.request._request,
            max_bytes=bodies.BATCH_BYTES,
            max_depth=bodies.DEPTH + _UNDER_EVENTS,
        )
        items = body.get("events") if isinstance(body, dict) and body.keys() == {"events"} else None
        if not isinstance(items, list) or not 1 <= len(items) <= BATCH_MOST:
            detail = f"Send {{'events': [...]}} with 1 to {BATCH_MOST} events and nothing else."
            raise Problem(
                "validation_failed",
                errors=[FieldError("/events", "type", detail.replace("'", '"'))],
            )
        return items

    def _judge_item(self, item: object, *, now: datetime) -> Judged:
        may_be_large = len(self.request._request.body) > bodies.EVENT_BYTES
        if may_be_large and len(strict_json.canonical(item)) > bodies.EVENT_BYTES:
            return Judged(problem=Problem("too_large"))
        return self.judge(item, now=now)

    def _result(self, index: int, outcome: Verdict | Problem) -> dict[str, Any]:
        if isinstance(outcome, Problem):
            error = as_dict(
                outcome,
                instance=f"/api/v1/events/batch#/events/{index}",
                correlation_id=self.request.correlation_id,  # type: ignore[attr-defined]
            )
            return {"index": index, "status": "rejected", "error": error}
        return {"index": index, "status": outcome.status, "event_id": str(outcome.event_id)}


def _outcome(judged: Judged, verdict: Verdict | None) -> Verdict | Problem:
    if judged.event is None or verdict is None:
        return judged.problem or Problem("validation_failed")
    if verdict.error == "idempotency_key_reused":
        errors = [
            FieldError(
                f"/{strict_json.escape_token(name)}", "differs", "Stored with another value."
            )
            for name in verdict.differing
        ]
        return Problem("idempotency_key_reused", errors=errors)
    if verdict.error:
        return Problem("validation_failed", errors=[_unknown_workflow(judged.event)])
    return verdict


def _unknown_workflow(event: IncomingEvent) -> FieldError:
    if event.workflow_slug:
        detail = "This slug may not register itself."
        return FieldError("/workflow", "unknown_workflow", detail)
    return FieldError("/workflow_id", "unknown_workflow", "There is no such workflow.")


def _workflow_label(event: IncomingEvent | None) -> str:
    return str(event.workflow_id or event.workflow_slug) if event else ""
