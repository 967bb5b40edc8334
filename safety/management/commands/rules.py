"""`rules`: a tenant's rules as a file that is kept in git, and such a file as the tenant's rules."""

import getpass
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from safety import rule_exchange, rule_texts
from safety.rule_texts import DocumentRefused
from safety.rules import RuleMoved
from tenants import scoping
from tenants.journal import Actor
from tenants.models import Tenant

REASON_CHARACTERS = 4000


class Command(BaseCommand):
    help = "Export a tenant's rules as YAML, or make a tenant's rules what such a file says."

    def add_arguments(self, parser: ArgumentParser) -> None:
        does = parser.add_subparsers(dest="does", required=True)
        out = does.add_parser(
            "export", help="Write what the tenant's rules set to standard output."
        )
        into = does.add_parser("import", help="New versions where the file says something else.")
        into.add_argument("file", type=Path)
        into.add_argument("--reason", default="Imported.", help="Why, for every new version.")
        into.add_argument("--dry-run", action="store_true", help="Only say what would change.")
        for each in (out, into):
            each.add_argument("--tenant", required=True, help="The tenant's slug.")

    def handle(self, *args: Any, **options: Any) -> None:
        tenant = _tenant(options["tenant"])
        if options["does"] == "export":
            with scoping.bound(tenant.pk):
                self.stdout.write(rule_exchange.exported(tenant.pk), ending="")
        else:
            self._import(tenant, options)

    def _import(self, tenant: Tenant, options: dict[str, Any]) -> None:
        reason = options["reason"].strip()
        if not 0 < len(reason) <= REASON_CHARACTERS:
            raise CommandError(f"Say why, in at most {REASON_CHARACTERS} characters.")
        try:
            wanted = rule_texts.parsed(options["file"])
            with scoping.bound(tenant.pk) as now:
                changes = rule_exchange.changes(tenant.pk, wanted)
                if not options["dry_run"]:
                    by = Actor("system", "", f"manage.py rules, {getpass.getuser()}")
                    rule_exchange.carry_out(tenant.pk, changes, reason=reason, by=by, now=now)
        except (DocumentRefused, RuleMoved) as refused:
            raise CommandError(f"{refused}\nNothing was imported.") from None
        for change in changes:
            self._tell(change)
        ends = "Nothing was written: a dry run." if options["dry_run"] else "Done."
        self.stdout.write(ends if changes else "The rules say this already.")

    def _tell(self, change: rule_exchange.Change) -> None:
        self.stdout.write(f"{change.title}: version {change.version + 1}")
        for line in change.differences:
            self.stdout.write(f"  {line}")


def _tenant(slug: str) -> Tenant:
    with scoping.platform():
        found = Tenant.objects.filter(slug=slug).first()
    if found is None:
        raise CommandError(f"There is no tenant {slug}.")
    return found
