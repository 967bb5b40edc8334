"""`heartbeat`: one ping of the dead-man's switch, for whoever has a cron and no beat."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from awfdrs_site import heartbeat


class Command(BaseCommand):
    help = "Ping HEARTBEAT_URL once, if work flows."
    requires_system_checks: list[str] = []  # noqa: RUF012

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(heartbeat.send())
        except heartbeat.NotPinged as failure:
            raise CommandError(str(failure)) from failure
