"""HTTP answers about changes that people and pipelines tell us of."""

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from awfdrs_site.lib import clock
from awfdrs_site.lib.pagination import Listing
from awfdrs_site.lib.problems import FieldError, Problem
from incidents import changes
from incidents.cause_serializers import ChangeBody, ChangeSerializer
from incidents.models import Change
from tenants.api import TenantAPIView
from tenants.models import Vendor, Workflow

AHEAD = timedelta(hours=24)  # as for events: a clock may be wrong, but not by a day


class Changes(TenantAPIView):
    verbs: ClassVar[Mapping[str, str]] = {"get": "view", "post": "configure"}
    listing = Listing(
        ChangeSerializer, orders={"occurred_at": "occurred_at"}, default_order="-occurred_at"
    )

    def get(self, request: Request) -> Response:
        mine = Change.objects.for_tenant(self.caller.tenant).select_related("workflow", "vendor")
        return self.listing.answer(request, mine)

    @extend_schema(
        request=ChangeBody,
        responses={201: ChangeSerializer, 200: OpenApiResponse(ChangeSerializer, "A dry run.")},
    )
    def post(self, request: Request) -> Response:
        said, now = self.body(ChangeBody), clock.now()
        if said["occurred_at"] > now + AHEAD:
            raise _refused("occurred_at", "range", "This is more than a day from now.")
        tenant = self.caller.tenant
        change = changes.record(
            tenant_id=tenant.id,
            kind=said["kind"],
            summary=said["summary"],
            occurred_at=said["occurred_at"],
            workflow=_named(Workflow.objects.for_tenant(tenant), "slug", said, "workflow"),
            vendor=_named(Vendor.objects.for_tenant(tenant), "name", said, "vendor"),
            by=self.caller.actor,
            now=now,
        )
        return self.wrote(ChangeSerializer(change).data, status=HTTPStatus.CREATED)


def _named(rows: QuerySet[Any], name: str, said: Mapping[str, Any], field: str) -> Any:
    """The row that the body names by its name or id; None where it names none."""
    word = said.get(field)
    if word is None:
        return None
    found = rows.filter(**{name: word}).first()
    if found is None and (identifier := _id(word)) is not None:
        found = rows.filter(pk=identifier).first()
    if found is None:
        raise _refused(field, "unknown", f"There is no such {field}.")
    return found


def _id(word: str) -> UUID | None:
    try:
        return UUID(word)
    except ValueError:
        return None


def _refused(field: str, code: str, detail: str) -> Problem:
    return Problem("validation_failed", errors=[FieldError(f"/{field}", code, detail)])
