"""`manage.py export_tenant SLUG --to DIR`: everything one tenant owns, with its rules as YAML and a manifest."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from safety import rule_exchange
from tenants import exporting, scoping
from tenants.exporting import ExportRefused
from tenants.journal import Actor
from tenants.models import Tenant

BY = Actor("system", "", "manage.py export_tenant")


class Command(BaseCommand):
    help = "Write a tenant's rows as NDJSON, its rules as YAML and a manifest with hashes; never a secret."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug")
        parser.add_argument("--to", required=True, type=Path, metavar="DIR", help="a new directory")

    def handle(self, *args: Any, slug: str, to: Path, **options: Any) -> None:
        with scoping.platform():
            tenant = Tenant.objects.filter(slug=slug).first()
        if tenant is None:
            raise CommandError(f"No tenant is called {slug}.")
        with scoping.bound(tenant.pk):
            rules = rule_exchange.exported(tenant.pk)
        try:
            files = exporting.export(tenant.pk, to=to, by=BY, texts={"rules.yaml": rules})
        except ExportRefused as refused:
            raise CommandError(str(refused)) from refused
        rows = sum(one.rows for one in files)
        self.stdout.write(f"{rows} rows in {len(files)} files, named in {to / 'manifest.json'}")
