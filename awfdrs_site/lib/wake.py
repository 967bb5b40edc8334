"""Wakes an idle worker through Celery: from the publisher thread, with 250 ms deadlines, at most ten times a second."""

import threading
import time

from celery import Celery, current_app
from django.conf import settings
from kombu import Connection

from awfdrs_site.lib import live

APART_SECONDS = 0.1  # one nudge covers everything committed before it

_last: dict[str, float] = {}
_lock = threading.Lock()


def wake(task: str, *, queue: str) -> None:
    """Ask for a run of the sweep `task` soon; dropping it costs at most the poller's second."""
    with _lock:
        now = time.monotonic()
        if now - _last.get(task, 0.0) < APART_SECONDS:
            return
        _last[task] = now
    live.nudge(lambda: _send(current_app, task, queue))


def _send(app: Celery, task: str, queue: str) -> None:
    timeouts = {
        "socket_timeout": live.SEND_SECONDS,
        "socket_connect_timeout": live.SEND_SECONDS,
        "max_retries": 0,  # kombu would go on trying for seconds, and the facts behind it would wait
    }
    with Connection(settings.REDIS_URL, transport_options=timeouts) as connection:
        app.send_task(
            task, queue=queue, connection=connection, retry=False, ignore_result=True, expires=5
        )
