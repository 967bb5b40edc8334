"""`migrate` always runs as the owner: the login that serves requests owns nothing."""

from typing import Any

from django.conf import settings
from django.core.management.commands.migrate import Command as Migrate

from tenants import roles


class Command(Migrate):
    def handle(self, *args: Any, **options: Any) -> None:
        if options["database"] == "default":
            roles.ensure(owner_url=settings.DATABASE_OWNER_URL, login=settings.DATABASE_LOGIN)
            options["database"] = "owner"
        super().handle(*args, **options)
