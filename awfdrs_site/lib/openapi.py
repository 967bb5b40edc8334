"""The only place that turns what a view declares into OpenAPI 3.1."""

import inspect
from functools import cache
from typing import Any, Literal

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, inline_serializer
from rest_framework import serializers

from awfdrs_site.lib import params
from awfdrs_site.lib.pagination import PAGE_SIZE, PAGE_SIZE_MOST

_PLAIN: dict[str, tuple[Any, str]] = {
    "tenant_id": (OpenApiTypes.UUID, "Only the caller's own tenant."),
    "dry_run": (OpenApiTypes.BOOL, "Evaluate and answer the same, change nothing."),
    "atomic": (OpenApiTypes.BOOL, "All events or none: with one that is not valid, 422."),
    "page": ({"type": "integer", "minimum": 1}, "Page number, from 1."),
    "cursor": (OpenApiTypes.STR, "From `next` or `previous` of this list, for deep paging."),
    "ordering": (OpenApiTypes.STR, "What the list is ordered by; with a - it descends."),
}
_FORMATS: dict[type, Any] = {
    params.InstantField: OpenApiTypes.DATETIME,
    params.IdField: OpenApiTypes.UUID,
}


class ContractSchema(AutoSchema):
    """Parameters, page shapes and problems from the declarations of TenantAPIView."""

    def get_override_parameters(self) -> list[Any]:
        names = getattr(self.view, "parameters_of", lambda _method: ())(self.method)
        return [self._parameter(name) for name in names]

    def get_operation_id(self) -> str:
        words = self.path.removeprefix("/api/v1/").replace("{", "").replace("}", "")
        return f"{self.method.lower()}_{words.replace('/', '_').replace('-', '_')}"

    def get_description(self) -> str:  # type: ignore[override]  # as the library itself does
        """The method's own words, else its view's; never those of a base."""
        method = getattr(self.view, self.method.lower(), None)
        return inspect.cleandoc(
            vars(type(self.view)).get("__doc__") or getattr(method, "__doc__", None) or ""
        )

    def get_request_serializer(self) -> Any:
        said = getattr(self.view, "said", None)
        return said if said is not None else super().get_request_serializer()

    def get_response_serializers(self) -> Any:
        listing = getattr(self.view, "listing", None)
        if listing is None or self.method != "GET":
            return super().get_response_serializers()
        return _page_of(listing.serializer)

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> Any:
        answers = super()._get_response_bodies(direction)
        if problem := getattr(self.view, "problem", None):
            answers["default"] = self._get_response_for_code(  # type: ignore[no-untyped-call]
                problem, "default", ["application/problem+json"], direction
            )
        return answers

    def _is_list_view(self, serializer: Any = None) -> bool:
        return False  # a page is an object of its own

    def _parameter(self, name: str) -> OpenApiParameter:
        listing = getattr(self.view, "listing", None)
        if name == "page_size":
            what = {
                "type": "integer",
                "minimum": 1,
                "maximum": PAGE_SIZE_MOST,
                "default": PAGE_SIZE,
            }
            return OpenApiParameter(name, what, description="Rows a page.")
        if name == "ordering" and listing is not None:
            kind, text = _PLAIN[name]
            return OpenApiParameter(name, kind, description=text, enum=listing.words)
        if name in _PLAIN:
            kind, text = _PLAIN[name]
            return OpenApiParameter(name, kind, description=text)
        asked = listing.filters.base_filters.get(name) if listing and listing.filters else None
        return OpenApiParameter(name, _type_of(asked), enum=_choices_of(asked))


@cache
def _page_of(serializer: type[serializers.BaseSerializer[Any]]) -> Any:
    """One component for all lists of a kind."""
    name = serializer.__name__.removesuffix("Serializer")
    return inline_serializer(
        f"{name}Page",
        {
            "count": serializers.IntegerField(),
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
            "results": serializer(many=True),
        },
    )


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "tenants.auth.CallerAuthentication"
    name = ["apiKey", "session"]  # noqa: RUF012  # the library's shape

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        return [
            {"type": "http", "scheme": "bearer", "description": "awf_<prefix>_<secret>"},
            {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME},
        ]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[str]]]:
        return [{name: []} for name in self.name]  # one of them, not both


def _type_of(asked: Any) -> Any:
    return _FORMATS.get(asked.field_class, OpenApiTypes.STR) if asked else OpenApiTypes.STR


def _choices_of(asked: Any) -> list[str] | None:
    choices = asked.extra.get("choices") if asked is not None else None
    return [value for value, _ in choices] if choices else None
