"""What a project would have without any of this: a ModelSerializer, the ORM, one row for each request."""

from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from awfdrs_site.lib.ids import uuid7
from events.models import Event
from tenants import scoping
from tenants.models import Workflow


class PlainSerializer(serializers.ModelSerializer[Event]):
    class Meta:
        model = Event
        fields = ("event_type", "payload", "occurred_at", "run_ref")


class PlainDoor(APIView):
    """The key is known, and there is no inbox, no idempotency, no limit and no book."""

    def post(self, request: Request) -> Response:
        caller = request._request.caller  # type: ignore[attr-defined]
        with scoping.bound(caller.tenant.id) as now:
            mine = Workflow.objects.for_tenant(caller.tenant.id)
            body: dict[str, Any] = dict(request.data)
            serializer = PlainSerializer(data={"run_ref": body["run_id"]} | body)
            serializer.is_valid(raise_exception=True)
            made: Any = serializer.save(
                id=uuid7(now),
                tenant_id=caller.tenant.id,
                workflow=mine.get(slug=body["workflow"]),
                received_at=now,
                schema_version="1.0.0",
                correlation_id="plain",
            )
        return Response({"event_id": str(made.pk)}, status=201)


urlpatterns = [path("api/v1/plain", PlainDoor.as_view())]
