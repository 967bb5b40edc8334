"""`doctor`: looks over the installation; exits 1 when something is broken, warnings alone are 0."""

import sys
import time
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from awfdrs_site import doctor
from awfdrs_site.doctor import Looked
from awfdrs_site.doctor_findings import BROKEN

AGAIN_SECONDS = 2.0


class Command(BaseCommand):
    help = "Check settings, database, Redis, workers and the rest, and say what to do."
    requires_system_checks: list[str] = []  # noqa: RUF012  # it makes them itself, and goes on

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("checks", nargs="*", metavar="CHECK", help=", ".join(doctor.CHECKS))
        parser.add_argument(
            "--wait", type=float, default=0, metavar="SECONDS", help="look again until all is well"
        )

    def handle(self, *args: Any, checks: Sequence[str], wait: float, **options: Any) -> None:
        if unknown := set(checks) - doctor.CHECKS.keys():
            self.stderr.write(
                f"There is no check {', '.join(sorted(unknown))}: {', '.join(doctor.CHECKS)}."
            )
            sys.exit(2)
        until = time.monotonic() + wait
        while (
            not self._is_well(looked := list(doctor.examine(checks))) and time.monotonic() < until
        ):
            time.sleep(AGAIN_SECONDS)
        for one in looked:
            self._tell(one)
        if not self._is_well(looked):
            sys.exit(1)

    def _is_well(self, looked: Sequence[Looked]) -> bool:
        return all(one.finding.state != BROKEN for one in looked)

    def _tell(self, one: Looked) -> None:
        self.stdout.write(f"{one.finding.state:8} {one.name:11} {one.finding.says}")
        if one.finding.cure:
            self.stdout.write(f"{'':20} → {one.finding.cure}")
