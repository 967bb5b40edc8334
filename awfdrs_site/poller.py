"""The poller of every worker process: the sweeps of the beat table, in time, whether or not Redis is there.

A worker hears nothing while its broker is away; Postgres still holds the work, so two threads keep asking it: one goes
through the sweeps, one looks for actions that are due and fills the places that calls leave.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from celery import Celery, bootsteps
from django.db import close_old_connections

from awfdrs_site.lib import failures

logger = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
TICK_SECONDS = 0.2  # between two looks for due actions: what they are late by on an idle worker
SELDOM_SECONDS = 30.0
GATHER_SECONDS = 0.03  # places that calls leave within it are filled by one claim
GATHER_MOST_SECONDS = 0.25  # as long as calls that have ended are still being settled
QUESTIONS_AT_ONCE = 4  # of AT_ONCE
LETTERS_AT_ONCE = 2  # of AT_ONCE
AT_ONCE = 48  # calls under way per worker process; each may wait its whole deadline
SPARE = 8  # of them for tenants for whom nothing is under way


class Calls:
    """The worker's pool for outgoing calls; `room` keeps it from claiming more than it can start."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="call")
        self._under_way = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()

    @property
    def room(self) -> int:
        with self._lock:
            return AT_ONCE - self._under_way

    def submit(self, job: Callable[[], object]) -> None:
        with self._lock:
            self._under_way += 1
        self._pool.submit(self._run, job)

    def wait(self, seconds: float) -> bool:
        """Until a call has ended and its place is free; False when none did in this time."""
        ended = self._ended.wait(seconds)
        self._ended.clear()
        return ended

    def stop(self) -> None:
        """Finish what is under way; its deadlines bound the wait."""
        self._pool.shutdown(wait=True)

    def _run(self, job: Callable[[], object]) -> None:
        try:
            job()
        finally:
            close_old_connections()
            with self._lock:
                self._under_way -= 1
            self._ended.set()


calls = Calls()


@dataclass
class Swept:
    """When the poller last came through, on this process's own clock; a worker that starts counts as one."""

    at: float = field(default_factory=time.monotonic)


_swept = Swept()


def swept_at() -> float:
    return _swept.at


def run_due() -> int:
    """Claim what the pool has room for."""
    from actions import execution

    room = calls.room
    if room <= 0:
        return 0
    return execution.run_due(limit=room, spare=SPARE, submit=calls.submit, together=AT_ONCE)


def ask_due() -> int:
    """Ask what became of unseen calls, a few at a time: what is due to be sent comes first."""
    from actions import probing

    room = min(calls.room, QUESTIONS_AT_ONCE)
    return probing.ask_due(limit=room, submit=calls.submit) if room > 0 else 0


def send_due() -> int:
    """The same of what people are told."""
    from actions import outbox

    room = calls.room
    return outbox.send_due(limit=room, submit=calls.submit) if room > 0 else 0


def write_letters() -> int:
    """Letters with a link to get in: a slow mail server holds up no sweep."""
    from tenants import letters

    room = min(calls.room, LETTERS_AT_ONCE)
    return letters.send_due(limit=room, submit=calls.submit) if room > 0 else 0


def sweeps(
    *, run_due: Callable[[], int] | None = None, send_due: Callable[[], int] = send_due
) -> list[Callable[[], int]]:
    """Everything the worker does, in the way of an event; due actions have a thread of their own unless given here."""
    from actions import campaign_stages, escalations, execution, planning, releasing, verification
    from awfdrs_site import self_reports
    from incidents import acknowledging, bulk_work, decisions, detection, snoozing
    from safety import sweeps as safety_sweeps
    from tenants import sealing

    return [
        detection.digest,
        decisions.decide_due,
        planning.plan_due,
        releasing.release_parked,
        *([run_due] if run_due else []),
        execution.rescue_lost,
        verification.verify_due,
        escalations.advance_due,
        send_due,
        campaign_stages.advance_due,
        write_letters,
        snoozing.wake_due,
        acknowledging.end_due,
        bulk_work.work_due,
        safety_sweeps.reset_due,
        sealing.seal_due,
        self_reports.report_due,
    ]


def seldom() -> list[Callable[[], int]]:
    """What looks at every open incident, or asks workflows, and is in no hurry."""
    from actions import (
        approval_sweeps,
        escalation_audit,
        escalation_sweeps,
        outlook,
        simulation_work,
        tickets,
    )
    from awfdrs_site import self_reports
    from events import conservation
    from incidents import analysing, quiet, retaining, storms, undo
    from tenants import letters, sealing, sessions

    return [
        partial(quiet.resolve_quiet, has_open_actions=outlook.has_open),
        storms.settle_due,
        analysing.look_due,
        conservation.add_up,
        retaining.let_go,
        undo.forget_old,
        tickets.follow_due,
        partial(simulation_work.work_due, submit=calls.submit),
        approval_sweeps.keep_due,
        escalation_sweeps.tell_of_escalated,
        escalation_audit.audit,
        ask_due,
        sealing.tell_heads,
        sessions.forget_old,
        letters.forget_old,
        self_reports.look_for_beat,
    ]


def sweep_once(every: Sequence[Callable[[], int]]) -> int:
    """Run every sweep once; one that breaks stops no other. Returns how much work was found."""
    found = 0
    for sweep in every:
        try:
            found += sweep()
        except Exception as error:
            logger.exception("sweep %s failed", name := failures.name_of(sweep))
            failures.note(name, error)
        finally:
            close_old_connections()
    return found


class Poller(bootsteps.StartStopStep):
    """Starts with the worker, whatever the broker does, and stops with it."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, parent: Any) -> None:
        for name, work in (("poller", self._sweep), ("filler", self._fill)):
            thread = threading.Thread(target=work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, parent: Any) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=15)
        calls.stop()

    def _sweep(self) -> None:
        seldom_at = time.monotonic()
        while not self._stop.is_set():
            if time.monotonic() >= seldom_at:
                seldom_at = time.monotonic() + SELDOM_SECONDS
                sweep_once(seldom())
            found = sweep_once(sweeps())
            _swept.at = time.monotonic()
            if not found:
                self._stop.wait(EVERY_SECONDS)

    def _fill(self) -> None:
        """Every tick, and as soon as a call leaves its place."""
        while not self._stop.is_set():
            if calls.wait(TICK_SECONDS):
                self._gather()
            sweep_once([run_due])

    def _gather(self) -> None:
        """Calls that settle together leave their places together: what starts in them costs as much as one alone."""
        from actions import ended

        until = time.monotonic() + GATHER_MOST_SECONDS
        self._stop.wait(GATHER_SECONDS)
        while ended.is_settling() and time.monotonic() < until and not self._stop.is_set():
            calls.wait(GATHER_SECONDS)


def install(app: Celery) -> None:
    """Give every worker of the app a poller."""
    app.steps["worker"].add(Poller)
