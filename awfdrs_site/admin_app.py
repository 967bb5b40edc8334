"""The only place that tells Django whose admin site `admin.site` is. It is read before any model is."""

from django.contrib.admin.apps import AdminConfig


class AdministrationConfig(AdminConfig):
    default_site = "awfdrs_site.admin_site.Site"
