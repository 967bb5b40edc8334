"""Console routes of the audit log, under /audit/."""

from django.urls import path

from tenants import audit_views

app_name = "audit"
urlpatterns = [
    path("", audit_views.audit, name="list"),
    path("export/", audit_views.export, name="export"),
]
