"""The API's base view: who calls, on what, may they, in the tenant's block; every route declares its verb."""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from django.core.exceptions import ObjectDoesNotExist
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from awfdrs_site.lib import api_errors, bodies, params
from awfdrs_site.lib.openapi import ContractSchema
from awfdrs_site.lib.pagination import Listing
from awfdrs_site.lib.problems import Problem
from tenants.access import Caller
from tenants.scoping import bound
from tenants.serializers import ProblemSerializer

WRITES = frozenset({"post", "put", "patch", "delete"})
ROW = TypeVar("ROW")


class TenantAPIView(APIView):
    """Authenticate (401), find the object in the tenant (404), ask the verb (403), then read (422).

    All of it, rendering included, happens in the tenant's block, which is rolled back for every
    answer that is an error and for a dry run. `drivers` are methods that open durable blocks
    themselves, so none is open around them.
    """

    verbs: ClassVar[Mapping[str, str]] = {}  # method -> verb; read by the access matrix
    drivers: ClassVar[frozenset[str]] = frozenset()
    listing: ClassVar[Listing | None] = None
    parameters: ClassVar[tuple[str, ...]] = ()  # of GET, beside the listing's
    problem = ProblemSerializer
    schema = ContractSchema()
    caller: Caller
    subject: Any
    is_dry_run = False
    format_kwarg = None  # what DRF negotiates by; our paths have no format suffix

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        caller: Caller | None = getattr(request, "caller", None)
        if caller is None or (request.method or "").lower() in self.drivers:
            return super().dispatch(request, *args, **kwargs)
        try:
            with bound(caller.tenant.id):
                response = super().dispatch(request, *args, **kwargs)
                if isinstance(response, Response):
                    response.render()
                if response.status_code >= 400 or self.is_dry_run:
                    transaction.set_rollback(True)
            return response
        except Exception as failure:  # the edge: the block could not be opened or committed
            return api_errors.problem_response(api_errors.problem_for(failure), request)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.perform_authentication(request)
        if not isinstance(request.auth, Caller):
            raise Problem("unauthenticated")
        self.caller = request.auth
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(
            request
        )
        verb = self.verb_of(request.method or "")
        self._refuse_other_tenant(request.query_params.get("tenant_id"))
        self.subject = self.find(**kwargs)
        if not self.caller.may(verb):
            raise Problem("missing_scope" if self.caller.key_id else "forbidden")
        params.refuse_unknown(request.query_params, self.parameters_of(request.method or ""))
        self.is_dry_run = params.flag(request.query_params, "dry_run")

    def find(self, **kwargs: Any) -> Any:
        """The object in the path; views with one override this and raise Http404."""
        return None

    @classmethod
    def verb_of(cls, method: str) -> str:
        verb = cls.verbs.get("get" if method.lower() == "head" else method.lower())
        if verb is None:
            raise exceptions.MethodNotAllowed(method)
        return verb

    @classmethod
    def parameters_of(cls, method: str) -> tuple[str, ...]:
        """The names that a query of this method may use."""
        if method.lower() in WRITES:
            return ("tenant_id", "dry_run")
        return ("tenant_id", *cls.parameters, *(cls.listing.parameters if cls.listing else ()))

    @property
    def allowed_methods(self) -> list[str]:
        return sorted(method.upper() for method in {*self.verbs, *self._head()})

    def body(self, serializer_class: type[BaseSerializer[Any]]) -> dict[str, Any]:
        """The validated fields of the request. Raises 400, 413, 415, 422 and 403 tenant_mismatch."""
        serializer = serializer_class(data=bodies.read_object(self.request._request))
        serializer.is_valid(raise_exception=True)
        fields: dict[str, Any] = dict(serializer.validated_data)
        named = fields.pop("tenant_id", None)
        self._refuse_other_tenant(None if named is None else str(named))
        return fields

    def wrote(self, answer: Mapping[str, Any], *, status: int = 200) -> Response:
        """What a write answers; a dry run says that it was one."""
        if self.is_dry_run:
            return Response({**answer, "dry_run": True}, status=200)
        return Response(answer, status=status)

    def _head(self) -> set[str]:
        return {"head"} if "get" in self.verbs else set()

    def _refuse_other_tenant(self, named: str | None) -> None:
        if named is not None and named.lower() != str(self.caller.tenant.id):
            raise Problem("tenant_mismatch")


def get_or_404(rows: QuerySet[Any, ROW], **wanted: Any) -> ROW:
    """The row, or the same 404 for a foreign one as for one that never was."""
    try:
        return rows.get(**wanted)
    except ObjectDoesNotExist:
        raise Http404 from None
