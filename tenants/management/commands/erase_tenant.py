"""`manage.py erase_tenant SLUG --confirm SLUG`: everything one tenant owns goes, for good."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tenants import erasing, scoping
from tenants.erasing import NotErased
from tenants.journal import Actor
from tenants.models import Tenant

BY = Actor("system", "", "manage.py erase_tenant")


class Command(BaseCommand):
    help = "Erase a tenant for good; its journal stays as blanked lines, so that the chain stays whole."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug")
        parser.add_argument(
            "--confirm", metavar="SLUG", help="the same again: nothing brings it back"
        )

    def handle(self, *args: Any, slug: str, confirm: str | None, **options: Any) -> None:
        with scoping.platform():
            tenant = Tenant.objects.filter(slug=slug).first()
        if tenant is None:
            raise CommandError(f"No tenant is called {slug}.")
        if confirm != slug:
            raise CommandError(f"Nothing was erased. Say it again: --confirm {slug}")
        try:
            erased = erasing.erase(tenant.pk, by=BY)
        except NotErased as failure:
            raise CommandError(str(failure)) from failure
        self.stdout.write(
            f"{slug} is erased: {erased.rows} rows, {erased.people} people, its journal blank"
            f" through seal {erased.through_seq}."
        )
