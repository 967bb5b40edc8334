"""`simulate --file`: real failures, one JSON line each, told as if they had just happened."""

import hashlib
import json
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from awfdrs_site.demo import kept
from awfdrs_site.demo.cast import Company
from awfdrs_site.demo.client import Client
from awfdrs_site.demo.registration import register
from awfdrs_site.demo.workflow_side import Part, Retry, WorkflowSide

NEVER_RECOVERS_ONE_IN = 4  # of the runs that are retried


@dataclass(frozen=True)
class Line:
    """One failure of the file; `workflow` may have been replaced by the one asked for."""

    at_offset_seconds: float
    workflow: str
    event_type: str
    payload: Mapping[str, Any]
    run_id: str
    idempotency_key: str

    def body(self, *, starts_at: datetime) -> dict[str, Any]:
        occurred_at = starts_at + timedelta(seconds=self.at_offset_seconds)
        return {
            "workflow": self.workflow,
            "event_type": self.event_type,
            "payload": dict(self.payload),
            "run_id": self.run_id,
            "idempotency_key": self.idempotency_key,
            "occurred_at": occurred_at.isoformat(),
        }


def read(path: Path, *, workflow: str | None) -> list[Line]:
    """Raises CommandError with the line's number. All under one workflow they are other events,
    so they get keys of their own."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error
    lines = []
    for number, raw in enumerate(text.splitlines(), start=1):
        if not raw.strip():
            continue
        try:
            said = json.loads(raw)
            if workflow:
                key = f"{workflow}.{said['idempotency_key']}"
                said = {**said, "workflow": workflow, "idempotency_key": key}
            lines.append(Line(**said))
        except (ValueError, TypeError, KeyError) as error:
            raise CommandError(f"{path} line {number} is not an event: {error}") from error
    return lines


def play(
    lines: list[Line],
    *,
    client: Client,
    company: Company,
    side: WorkflowSide,
    speed: float,
    say: Callable[[str], None],
) -> Counter[int]:
    """Register the workflows, post everything in order, and count the answers by status.

    `speed` 0 sends all at once; else offsets pass that many times as fast as they did.
    """
    for slug in sorted({line.workflow for line in lines}):
        _enter(slug, client=client, company=company, side=side)
    starts_at = _start(lines, company)
    say(f"{len(lines)} events of {len({line.workflow for line in lines})} workflows")
    began = time.monotonic()
    statuses: Counter[int] = Counter()
    for line in lines:
        if speed:
            due = began + (line.at_offset_seconds - lines[0].at_offset_seconds) / speed
            time.sleep(max(0.0, due - time.monotonic()))
        reply = client.post("/events", line.body(starts_at=starts_at))
        statuses[reply.status] += 1
        if not reply.is_stored:
            say(f"{line.idempotency_key} was refused: {reply.status} {reply.body}")
    return statuses


def _enter(slug: str, *, client: Client, company: Company, side: WorkflowSide) -> None:
    secret = register(client, company, slug=slug, url=side.retry_url, idempotent="key")

    def completed(retry: Retry) -> None:
        client.post(
            "/events",
            {
                "workflow": slug,
                "event_type": "job.completed",
                "payload": {},
                "run_id": retry.run_id,
                "occurred_at": datetime.now(UTC).isoformat(),
                "idempotency_key": f"{slug}.{retry.run_id}.completed",
            },
        )

    side.play(slug, Part(secret=secret, accepts=recovers, completed=completed))


def recovers(retry: Retry) -> bool:
    """Some runs never do; always the same ones."""
    return zlib.crc32(retry.run_id.encode()) % NEVER_RECOVERS_ONE_IN != 0


def _start(lines: Iterable[Line], company: Company) -> datetime:
    """When the first line happened: so that the last one is now. The same lines again are the
    same events, at the same times, and are answered 200."""
    lines = list(lines)
    told = json.dumps([vars(line) for line in lines], sort_keys=True).encode()
    name = f"replay.{company.slug}.{hashlib.sha256(told).hexdigest()[:16]}"
    last = max(line.at_offset_seconds for line in lines)
    fresh = datetime.now(UTC) - timedelta(seconds=last)
    return datetime.fromisoformat(kept.keep(name, lambda old: old or fresh.isoformat()))
