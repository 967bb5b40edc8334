"""The composition root as a Django app: it carries the management commands."""

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "awfdrs_site"
    label = "site"

    def ready(self) -> None:
        from awfdrs_site import checks

        assert checks  # importing registers them
