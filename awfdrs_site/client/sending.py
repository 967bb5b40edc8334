"""The verbs `send`, `replay`, `drain` and `tail` of the command."""

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from typing import Any

from .client import Client, encoded, results_of
from .http import LINES, Away, Http
from .saying import DONE, NO, Say, row
from .spool import Event

POLL_SECONDS = 2
BATCH = 200
COLUMNS = (("received_at", 27), ("workflow", 20), ("event_type", 24), ("outcome", 9), ("run_id", 1))


def send(options: argparse.Namespace, client: Client, say: Say) -> int:
    fields = dict(_pair(text) for text in options.field)
    sent = client.send(
        options.event_type,
        {**_payload(options.payload), **fields},
        workflow=options.workflow,
        run_id=options.run_id,
        idempotency_key=options.idempotency_key,
    )
    said = {
        "status": sent.status,
        "event_id": sent.event_id,
        "idempotency_key": sent.idempotency_key,
    }
    say.value(
        {**said, "warnings": list(sent.warnings)}, f"{sent.status} {sent.event_id or ''}".strip()
    )
    for warning in sent.warnings:
        say.note(warning)
    if sent.status == "spooled":
        say.note(
            f"AWFDRS is away or events wait: kept in {client.spool.directory}, `awfdrs drain` sends it."
        )
    return DONE


def drain(options: argparse.Namespace, client: Client, say: Say) -> int:
    done = client.drain()
    say.value(
        {"done": done, "waiting": client.spool.count()}, f"{done} done, {client.spool.count()} wait"
    )
    return DONE


def replay(options: argparse.Namespace, http: Http, say: Say) -> int:
    """Twice the same file is once the same events: each line has one key, its own or one made of it."""
    counts: Counter[str] = Counter()
    for lines in _chunks(options.file):
        while lines:
            results = _posted(http, [event for _, event in lines], say)
            for (number, _), result in zip(lines, results, strict=False):
                counts[result["status"]] += 1
                if result["status"] == "rejected":
                    say.note(f"line {number}: {_why(result['error'])}")
            lines = lines[len(results) :]
    said = {name: counts[name] for name in ("accepted", "replayed", "rejected")}
    say.value(said, ", ".join(f"{count} {name}" for name, count in said.items()))
    return NO if counts["rejected"] else DONE


def _posted(http: Http, events: list[Event], say: Say) -> list[dict[str, Any]]:
    """What became of the first of these, as many as the key's limit lets in; waits where that is none."""
    while True:
        try:
            body = b"\n".join(encoded(event) for event in events)
            answer = http.call("POST", "events/batch", body, content_type=LINES)
            return results_of(answer, len(events))
        except Away as away:
            if away.left is None:
                raise
            if 0 < away.left < len(events):
                events = events[: away.left]
            else:
                say.note(f"{away} Waiting {away.retry_after or 1:.0f} s.")
                sleep(away.retry_after or 1)


def tail(options: argparse.Namespace, http: Http, say: Say) -> int:
    seen: set[str] = set()
    since = ""
    while True:
        try:
            events = _latest(http, options, since)
        except Away as away:
            if not since:
                raise
            say.note(f"{away} Asking again.")
            sleep(POLL_SECONDS)
            continue
        for event in reversed([event for event in events if event["id"] not in seen]):
            say.value(event, row(event, COLUMNS))
        seen = {event["id"] for event in events} or seen
        since = max((event["received_at"] for event in events), default=since)
        if options.once:
            return DONE
        sleep(POLL_SECONDS)


def _latest(http: Http, options: argparse.Namespace, since: str) -> list[dict[str, Any]]:
    """The last `n`, or everything since: page after page until nothing is left out."""
    size = 100 if since else options.n
    query = {"workflow": options.workflow, "since": since, "page_size": str(size)}
    found: list[dict[str, Any]] = []
    page = 1
    while True:
        body = http.call("GET", "events", query={**query, "page": str(page)}).body
        found += body["results"]
        if not since or body["next"] is None:
            return found
        page += 1


def _chunks(path: Path) -> Iterator[list[tuple[int, Event]]]:
    """At most 200 numbered events, and less than a batch may weigh."""
    lines: list[tuple[int, Event]] = []
    size = 0
    for number, event in _events(path):
        weight = len(encoded(event))
        if lines and (len(lines) == BATCH or size + weight > 4 * 1024 * 1024):
            yield lines
            lines, size = [], 0
        lines.append((number, event))
        size += weight
    if lines:
        yield lines


def _events(path: Path) -> Iterator[tuple[int, Event]]:
    times: Counter[str] = Counter()
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            event = _event(line, f"{path} line {number}")
            name = hashlib.sha256(line.strip()).hexdigest()[:32]
            times[name] += 1
            event.setdefault("idempotency_key", f"replay-{name}-{times[name]}")
            yield number, event


def _event(line: bytes, where: str) -> Event:
    try:
        event = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{where} is not JSON: {error}") from None
    if isinstance(event, dict) and isinstance(event.get("event"), dict) and "problem" in event:
        event = event["event"]  # a line of refused.ndjson
    if not isinstance(event, dict) or "occurred_at" not in event:
        raise ValueError(f"{where} is no event: an object with occurred_at is one.")
    return event


def _why(problem: dict[str, Any]) -> str:
    fields = [f"{each['pointer']}: {each['detail']}" for each in problem.get("errors") or []]
    return "; ".join([str(problem.get("detail") or problem.get("title")), *fields])


def _payload(text: str) -> dict[str, Any]:
    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        text = Path(text[1:]).read_text(encoding="utf-8")
    payload = json.loads(text)
    if not isinstance(payload, dict):
        raise ValueError("The payload must be a JSON object.")
    return payload


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not NAME=TEXT.")
    return name, value
