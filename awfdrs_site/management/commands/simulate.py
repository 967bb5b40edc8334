"""`simulate`: plays workflows that fail, through the API, and answers their signed retries."""

import signal
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from awfdrs_site.demo import cast, kept, replay
from awfdrs_site.demo.client import Client, say
from awfdrs_site.demo.outage import STORY_SECONDS, Outage
from awfdrs_site.demo.workflow_side import WorkflowSide

SCENARIO = "vendor-outage"
FILE_SERVE_SECONDS = 20  # its first retries come within seconds


class Command(BaseCommand):
    help = "Play failing workflows against a running stack, and answer their retries."
    requires_system_checks: list[str] = []  # noqa: RUF012  # `check` makes them

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("scenario", nargs="?", choices=[SCENARIO])
        parser.add_argument("--file", type=Path, help="failures, one JSON object a line")
        parser.add_argument("--workflow", help="with --file: all as this one workflow")
        parser.add_argument("--base-url", help="of the running stack; found by itself beside it")
        parser.add_argument("--tenant", default="acme", choices=["acme", "globex"])
        parser.add_argument(
            "--speed", type=float, help="times as fast; with --file, 0 (the default) is at once"
        )
        parser.add_argument(
            "--serve-seconds", type=float, help="how long to go on answering retries"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["scenario"]) == bool(options["file"]):
            raise CommandError(f"Name {SCENARIO} or a --file, one of the two.")
        if options["speed"] is not None and options["speed"] < 0:
            raise CommandError("--speed cannot be negative.")
        kept.refuse_in_production()
        kept.refuse_without_servers()
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        company = {each.slug: each for each in cast.COMPANIES}[options["tenant"]]
        base_url = options["base_url"] or kept.base_url()
        client = Client(base_url, key=kept.key(company, "simulation"))
        try:
            with WorkflowSide() as side:
                self._play(client, company, side, **options)
        except KeyboardInterrupt:
            say(self, "stopped")

    def _play(
        self, client: Client, company: cast.Company, side: WorkflowSide, **options: Any
    ) -> None:
        began = time.monotonic()
        play = self._file if options["file"] else self._outage
        problem, serve_seconds = play(client, company, side, **options)
        wanted = options["serve_seconds"]
        left = serve_seconds if wanted is None else wanted - (time.monotonic() - began)
        if left > 0:
            time.sleep(left)
        if problem:
            raise CommandError(problem)

    def _file(
        self, client: Client, company: cast.Company, side: WorkflowSide, **options: Any
    ) -> tuple[str, float]:
        lines = replay.read(options["file"], workflow=options["workflow"])
        if not lines:
            raise CommandError(f"{options['file']} has no events.")
        statuses = replay.play(
            lines,
            client=client,
            company=company,
            side=side,
            speed=options["speed"] or 0,
            say=lambda line: say(self, line),
        )
        other = sum(count for status, count in statuses.items() if status not in (200, 201))
        say(self, f"201: {statuses[201]}  200: {statuses[200]}  other: {other}")
        return (f"{other} events were not stored." if other else ""), FILE_SERVE_SECONDS

    def _outage(
        self, client: Client, company: cast.Company, side: WorkflowSide, **options: Any
    ) -> tuple[str, float]:
        has_ended = Outage(
            client, company, side, lambda line: say(self, line), options["speed"] or 1.0
        ).tell()
        say(self, "the story has ended" if has_ended else "the story has not ended in time")
        return ("" if has_ended else f"Not over after {STORY_SECONDS} s."), 0
