"""`backup DIR`: everything in the database as of one moment, as files."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from awfdrs_site import backups


class Command(BaseCommand):
    help = "Write everything in the database into DIR. Keep ENCRYPTION_KEY and AUDIT_KEY elsewhere."
    requires_system_checks: list[str] = []  # noqa: RUF012

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("directory", type=Path, metavar="DIR")

    def handle(self, *args: Any, directory: Path, verbosity: int, **options: Any) -> None:
        say = self.stdout.write if verbosity > 1 else len
        try:
            manifest = backups.make(directory, say=say)
        except backups.Refused as refused:
            raise CommandError(str(refused)) from refused
        tables = manifest["tables"].values()
        rows = sum(table["rows"] for table in tables)
        self.stdout.write(f"{rows} rows of {len(tables)} tables are in {directory}.")
