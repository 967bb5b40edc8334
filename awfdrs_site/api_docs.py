"""The API's own documents: the OpenAPI schema and two pages that read it, from this host alone."""

from functools import cache
from pathlib import Path
from typing import Any

from csp.decorators import csp_update
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import include, path
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiJsonRenderer2, OpenApiYamlRenderer
from drf_spectacular.settings import patched_settings
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from awfdrs_site import api_urls

HOUR_SECONDS = 3600
_BUNDLE = "drf_spectacular_sidecar/redoc/bundles/redoc.standalone.js"
# ReDoc shows its maker's logo from the maker's host; a blank picture asks nobody.
_THEIR_LOGO = "https://cdn.redoc.ly/redoc/logo-mini.svg"
_BLANK = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="

# API.md allows these two pages, and no other, more than the console's policy.
relaxed = csp_update(
    {
        "style-src": ["'unsafe-inline'"],
        "worker-src": ["blob:"],
        "img-src": ["'self'", "data:"],
    }
)


class Schema(APIView):
    authentication_classes = ()
    renderer_classes = (OpenApiJsonRenderer2, OpenApiJsonRenderer, OpenApiYamlRenderer)
    http_method_names = ["get", "head"]  # noqa: RUF012  # Django's own shape
    schema = None

    def get(self, request: Request) -> Response:
        return Response(document())


@cache
def document() -> dict[str, Any]:
    """Made once per process: routes do not change while it runs."""
    generator = SchemaGenerator(  # type: ignore[no-untyped-call]
        patterns=[path("api/v1/", include(api_urls.canonical))]
    )
    with patched_settings({"COMPONENT_SPLIT_PATCH": False}):
        made: dict[str, Any] = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return made


@relaxed
@require_safe
def swagger(request: HttpRequest) -> HttpResponse:
    return render(request, "docs/swagger.html")


@relaxed
@require_safe
def redoc(request: HttpRequest) -> HttpResponse:
    return render(request, "docs/redoc.html")


@cache_control(public=True, max_age=HOUR_SECONDS)
@require_safe
def redoc_bundle(request: HttpRequest) -> HttpResponse:
    return HttpResponse(_bundle(), content_type="text/javascript; charset=utf-8")


@cache
def _bundle() -> str:
    return Path(str(finders.find(_BUNDLE))).read_text("utf-8").replace(_THEIR_LOGO, _BLANK)
