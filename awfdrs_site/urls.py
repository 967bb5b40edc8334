"""Every route of the product."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from awfdrs_site import api_docs, metrics

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include("awfdrs_site.api_urls")),
    path("api/schema", api_docs.Schema.as_view(), name="schema"),
    path("api/schema/", api_docs.Schema.as_view()),
    path("docs", api_docs.swagger, name="docs"),
    path("docs/", api_docs.swagger),
    path("redoc", api_docs.redoc, name="redoc"),
    path("redoc/", api_docs.redoc),
    path("redoc/bundle.js", api_docs.redoc_bundle, name="redoc-bundle"),
    path("metrics", metrics.exposition, name="metrics"),
    path("admin/", admin.site.urls),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("", include("awfdrs_site.console_urls")),
]

handler400 = "awfdrs_site.lib.api_errors.bad_request"
handler403 = "awfdrs_site.lib.api_errors.permission_denied"
handler404 = "awfdrs_site.lib.api_errors.page_not_found"
handler500 = "awfdrs_site.health.server_error"
