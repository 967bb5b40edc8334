"""`seed_demo`: the demo tenants with their people, workflows, vendors and first events."""

from typing import Any

from django.core.management.base import BaseCommand

from awfdrs_site.demo import kept, seeding


class Command(BaseCommand):
    help = "Lay down the demo data (embedded servers or DEBUG=true only)."
    requires_system_checks: list[str] = []  # noqa: RUF012  # `check` makes them

    def handle(self, *args: Any, **options: Any) -> None:
        kept.refuse_in_production()
        kept.refuse_without_servers()
        seeding.seed(password=kept.password())
        self.stdout.write("The demo data is in place.")
