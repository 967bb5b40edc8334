"""`group_texts`: says how texts would be grouped, one JSON string a line in, one group id a line out."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from incidents import templates
from incidents.signature import fingerprint, normalise
from incidents.templates import Template


class Command(BaseCommand):
    help = "Group texts as if they arrived in this order, from an empty history; writes nothing."
    requires_system_checks: list[str] = []  # noqa: RUF012  # it needs no database

    def handle(self, *args: Any, **options: Any) -> None:
        leaves: dict[str, list[Template]] = {}
        for number, line in enumerate(sys.stdin.buffer, start=1):
            masked = normalise(_text(line, number))
            key = templates.learn(masked, leaves).key if masked else ""
            self.stdout.write(_group(key))


def _text(line: bytes, number: int) -> str:
    try:
        text = json.loads(line)
    except (ValueError, RecursionError):
        text = None
    if not isinstance(text, str):
        raise CommandError(f"Line {number} is not a JSON string.")
    return text


def _group(key: str) -> str:
    nowhere = dict.fromkeys(("workflow", "event_type", "vendor", "error_code", "step"), "")
    return fingerprint(template=key, **nowhere).hash
