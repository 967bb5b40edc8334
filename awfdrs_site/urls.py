"""Every route of the product."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include("awfdrs_site.api_urls")),
    path("admin/", admin.site.urls),
    path("", include("awfdrs_site.console_urls")),
]

handler400 = "awfdrs_site.lib.api_errors.bad_request"
handler403 = "awfdrs_site.lib.api_errors.permission_denied"
handler404 = "awfdrs_site.lib.api_errors.page_not_found"
handler500 = "awfdrs_site.lib.api_errors.server_error"
