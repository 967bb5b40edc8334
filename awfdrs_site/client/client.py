"""The only place of the client that sends an event: now, or from the spool as soon as that works."""

import hashlib
import json
import logging
import os
import threading
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .http import ABOUT_THE_EVENT, LINES, NOT_ALLOWED, Answer, Away, Denied, Http, Refused
from .spool import Event, Spool

FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0

log = logging.getLogger("awfdrs.client")


@dataclass(frozen=True)
class Sent:
    """`status` is accepted, replayed (it was there already) or spooled (kept on disk for later)."""

    status: str
    idempotency_key: str
    event_id: str | None = None
    warnings: tuple[str, ...] = ()


def spool_directory(url: str, key: str) -> Path:
    """A directory for each address and key, so that one tenant's events never go to another's."""
    name = hashlib.sha256(f"{url.rstrip('/')} {'_'.join(key.split('_')[:2])}".encode()).hexdigest()
    return spool_base() / name[:16]


def spool_base() -> Path:
    if "AWFDRS_SPOOL" in os.environ:
        return Path(os.environ["AWFDRS_SPOOL"])
    return Path(os.environ.get("XDG_STATE_HOME") or _home() / ".local" / "state") / "awfdrs"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # a user that nobody named, as in containers
        return Path("/")


class Client:
    """Sends events for one API key. Safe to share between threads; close it before you leave."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        workflow: str = "",
        spool: Path | str | None = None,
        timeout: float = 10.0,
        background: bool = True,
    ) -> None:
        """`background=False`: what is spooled waits until `drain()` is called."""
        self.workflow = workflow
        self.http = Http(url, key, timeout=timeout)
        self.spool = Spool(Path(spool) if spool else spool_directory(url, key))
        self._background = background
        self._begin()
        if not self.spool.is_empty:
            self._drain_soon()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._closing = threading.Event()
        self._starting = threading.Lock()
        self._drainer: threading.Thread | None = None

    def send(
        self,
        event_type: str,
        payload: Mapping[str, Any] | None = None,
        *,
        workflow: str = "",
        run_id: str = "",
        idempotency_key: str = "",
        occurred_at: datetime | None = None,
    ) -> Sent:
        """Report one event. Raises Refused, Denied or, with no room left on disk, SpoolFull.

        The idempotency key is settled here, so however often the event travels it is one event.
        """
        event = {
            "workflow": workflow or self.workflow,
            "event_type": event_type,
            "payload": dict(payload or {}),
            "occurred_at": _instant(occurred_at),
            "idempotency_key": idempotency_key or str(uuid.uuid4()),
        } | ({"run_id": run_id} if run_id else {})
        return self.deliver(event)

    def deliver(self, event: Event) -> Sent:
        """The same for a body that is complete."""
        raw = encoded(event)
        if not self.spool.is_empty:
            return self._keep(event)  # behind what waits: order stays
        try:
            answer = self.http.call("POST", "events", raw)
        except Away:
            return self._keep(event)
        except Refused as refusal:
            with suppress(OSError):  # no room to put it aside: the caller learns why all the same
                self._put_aside(event, refusal)
            raise
        return _sent(event, answer)

    def drain(self) -> int:
        """Send what waits, in order. Returns how many are done with. Raises Away or Denied."""
        return self.spool.drain(self._hand_over) or 0

    def close(self, *, wait_seconds: float = 2.0) -> None:
        """Give the draining a moment; what is still on disk then is sent by the next client."""
        drainer = self._drainer
        self._closing.set()
        if drainer is not None:
            drainer.join(wait_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _keep(self, event: Event) -> Sent:
        self.spool.append(event)
        self._drain_soon()
        return Sent("spooled", event["idempotency_key"])

    def _hand_over(self, events: list[Event]) -> int:
        try:
            lines = b"\n".join(encoded(event) for event in events)
            answer = self.http.call("POST", "events/batch", lines, content_type=LINES)
        except Refused:
            return self._one_by_one(events)  # something in it spoils the whole
        except Away as away:
            if away.left and away.left < len(events):
                return self._hand_over(events[: away.left])
            raise
        return self._judge(events, results_of(answer, len(events)))

    def _one_by_one(self, events: list[Event]) -> int:
        for index, event in enumerate(events):
            try:
                self._hand_over_one(event)
            except (Away, Denied):
                if index:
                    return index  # done with: what was put aside is not put aside again
                raise
        return len(events)

    def _hand_over_one(self, event: Event) -> None:
        try:
            self.http.call("POST", "events", encoded(event))
        except Refused as refusal:
            self._put_aside(event, refusal)

    def _judge(self, events: list[Event], results: list[dict[str, Any]]) -> int:
        for index, (event, result) in enumerate(zip(events, results, strict=True)):
            if result["status"] != "rejected":
                continue
            problem = result["error"]
            if problem.get("status") not in ABOUT_THE_EVENT:
                if not index and problem.get("status") in NOT_ALLOWED:
                    raise Denied(problem)
                return index  # not now; those after it are replays then
            self.spool.refuse(event, problem)
        return len(events)

    def _put_aside(self, event: Event, refusal: Refused) -> None:
        """Raises Denied instead when the refusal is about the address and not about the event."""
        if refusal.status not in ABOUT_THE_EVENT:
            raise Denied(refusal.problem)
        self.spool.refuse(event, refusal.problem)

    def _drain_soon(self) -> None:
        """One thread drains."""
        if self._process != os.getpid():
            self._begin()  # forked: that thread is not here, and may have held our lock
        if not self._background or self._closing.is_set():
            return
        with self._starting:
            if self._drainer is None or not self._drainer.is_alive():
                self._drainer = threading.Thread(
                    target=self._drain_until_empty, name="awfdrs-drain", daemon=True
                )
                self._drainer.start()

    def _drain_until_empty(self) -> None:
        wait = FIRST_WAIT_SECONDS
        while not self._is_done():
            pause = wait
            try:
                if self.drain():
                    wait = pause = FIRST_WAIT_SECONDS
            except Away as away:
                pause = max(wait, away.retry_after or 0)
            except (Denied, OSError) as error:
                log.warning("Events wait in %s: %s", self.spool.directory, error)
            if self._closing.is_set():
                return
            if not self.spool.is_empty:
                self._closing.wait(pause)
            wait = min(wait * 2, LONGEST_WAIT_SECONDS)

    def _is_done(self) -> bool:
        """Decided under the lock that starts us: what is appended afterwards finds nobody and starts one."""
        with self._starting:
            if self.spool.is_empty:
                self._drainer = None
                return True
        return False


def encoded(event: Event) -> bytes:
    """Raises ValueError for what JSON cannot say, NaN for one."""
    return json.dumps(event, separators=(",", ":"), allow_nan=False).encode()


def _instant(at: datetime | None) -> str:
    if at is None:
        return datetime.now(UTC).isoformat()
    if at.tzinfo is None:
        raise ValueError("occurred_at needs a time zone.")
    return at.isoformat()


def _sent(event: Event, answer: Answer) -> Sent:
    if not isinstance(answer.body, dict) or "event_id" not in answer.body:
        raise Denied({"title": "What answers there is not AWFDRS: is the URL right?"})
    replayed = answer.headers.get("Idempotent-Replayed") == "true"
    return Sent(
        "replayed" if replayed else "accepted",
        event["idempotency_key"],
        answer.body["event_id"],
        tuple(answer.body.get("warnings", ())),
    )


def results_of(answer: Answer, wanted: int) -> list[dict[str, Any]]:
    results = answer.body.get("results") if isinstance(answer.body, dict) else None
    if not isinstance(results, list) or len(results) != wanted:
        raise Denied({"title": "What answers there is not AWFDRS: is the URL right?"})
    return results
