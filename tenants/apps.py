"""Tenants, their walls in the database, and the journal."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class TenantsConfig(AppConfig):
    name = "tenants"

    def ready(self) -> None:
        from tenants import roles

        post_migrate.connect(roles.grant_framework_tables, dispatch_uid="framework grants")
