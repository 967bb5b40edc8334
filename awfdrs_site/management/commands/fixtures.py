"""`fixtures`: makes what black-box checks call by name and prints it as one JSON object."""

import json
from typing import Any

from django.core.management.base import BaseCommand

from awfdrs_site.demo import kept, objects, seeding


class Command(BaseCommand):
    help = "Make the objects of API.md's acceptance fixtures and print them as JSON."
    requires_system_checks: list[str] = []  # noqa: RUF012  # `check` makes them

    def handle(self, *args: Any, **options: Any) -> None:
        kept.refuse_in_production()
        kept.refuse_without_servers()
        seeding.seed(password=kept.password())
        self.stdout.write(json.dumps(objects.values(), indent=1))
