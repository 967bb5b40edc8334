"""Wakes idle workers through Celery: one thread and one kept connection per process, ten messages a second at most."""

import contextlib
import logging
import threading
import time

from celery import current_app
from django.conf import settings
from kombu import Connection

logger = logging.getLogger(__name__)

APART_SECONDS = 0.1  # one message covers everything committed before it
SEND_SECONDS = 0.25  # what a hung Redis costs this thread for each try, and a request nothing

# the sweep and what it is about → its queue
_wanted: dict[tuple[str, tuple[tuple[str, str], ...]], str] = {}
_is_wanted = threading.Event()
_start = threading.Lock()
_thread: threading.Thread | None = None
_kept: Connection | None = None  # of the thread alone


def wake(task: str, *, queue: str, **about: str) -> None:
    """Ask for a run of the sweep `task` soon; dropping it costs at most the poller's second."""
    _wanted[task, tuple(sorted(about.items()))] = (
        queue  # before the flag: the thread lowers it and looks afterwards
    )
    if not _is_wanted.is_set() or not _is_running():
        _ensure_thread()
        _is_wanted.set()


def _is_running() -> bool:
    """A fork has the flag and not the thread."""
    return _thread is not None and _thread.is_alive()


def _ensure_thread() -> None:
    global _thread
    with _start:
        if not _is_running():
            _thread = threading.Thread(target=_run, name="waker", daemon=True)
            _thread.start()


def _run() -> None:
    """What is wanted while it rests is sent when it has rested: the last commit of a burst is covered too."""
    while True:
        _is_wanted.wait()
        _is_wanted.clear()
        send_wanted()
        time.sleep(APART_SECONDS)


def send_wanted() -> None:
    """One message for each sweep that was asked for; with Redis away they are dropped."""
    while _wanted:
        (task, about), queue = _wanted.popitem()
        try:
            _send(task, queue, dict(about))
        except Exception:  # in any way Redis can fail; the rows are what counts
            logger.warning("nobody woken", exc_info=logger.isEnabledFor(logging.DEBUG))
            _leave()


def _send(task: str, queue: str, about: dict[str, str]) -> None:
    """Queues of Celery are lists, made by what is pushed: nothing has to be declared again after FLUSHALL."""
    global _kept
    if _kept is None:
        _kept = Connection(
            settings.REDIS_URL,
            transport_options={
                "socket_timeout": SEND_SECONDS,
                "socket_connect_timeout": SEND_SECONDS,
                "max_retries": 0,  # kombu would go on trying for seconds
            },
        )
    current_app.send_task(
        task,
        kwargs=about,
        queue=queue,
        connection=_kept,
        retry=False,
        ignore_result=True,
        expires=5,
    )


def _leave() -> None:
    global _kept
    gone, _kept = _kept, None
    if gone is not None:
        with contextlib.suppress(Exception):
            gone.release()
