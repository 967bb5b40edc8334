"""`restore DIR`: a backup into an empty, migrated database, all of it or nothing."""

from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from awfdrs_site import backups


class Command(BaseCommand):
    help = "Fill an empty, migrated database from DIR; stop web, workers and beat before."
    requires_system_checks: list[str] = []  # noqa: RUF012

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("directory", type=Path, metavar="DIR")
        parser.add_argument(
            "--verify",
            action="store_true",
            help="read everything again, compare it, and walk the journal's chain",
        )

    def handle(
        self, *args: Any, directory: Path, verify: bool, verbosity: int, **options: Any
    ) -> None:
        say = self.stdout.write if verbosity > 1 else len
        try:
            backups.restore(directory, say=say)
        except backups.Refused as refused:
            raise CommandError(str(refused)) from refused
        manifest = backups.read(directory)
        self.stdout.write(
            f"Restored: {len(manifest['tables'])} tables as of {manifest['made_at']}."
        )
        if backups.unreadable_secrets(manifest):
            self.stderr.write(
                "ENCRYPTION_KEY is another one than the backup's: workflows' secrets cannot be read."
            )
        if verify:
            self._verify(directory)

    def _verify(self, directory: Path) -> None:
        if found := backups.differences(directory):
            raise CommandError("\n".join(found))
        self.stdout.write("Verified: every table is equal to the backup.")
        call_command("verify_audit", stdout=self.stdout)
