"""`seed_demo`: the demo tenants with their people, workflows, vendors and first events; on request a large one."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from awfdrs_site.demo import kept, seeding, volume


class Command(BaseCommand):
    help = "Lay down the demo data (embedded servers or DEBUG=true only)."
    requires_system_checks: list[str] = []  # noqa: RUF012  # `check` makes them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--events",
            type=int,
            metavar="N",
            help="also make the tenant Volume with this many events, for trying how it looks and lasts",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        kept.refuse_in_production()
        kept.refuse_without_servers()
        seeding.seed(password=kept.password())
        self.stdout.write("The demo data is in place.")
        if options["events"] is not None:
            made = volume.seed(options["events"], say=lambda step: self.stdout.write(f"  {step}"))
            self.stdout.write(
                f"Volume has {made.events:,} events, {made.incidents:,} incidents, {made.runs:,} runs."
            )
