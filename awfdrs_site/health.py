"""Whether we live, whether we can serve, whether work flows: each answers in time, whatever hangs."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta

import psycopg
import redis
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from psycopg.conninfo import make_conninfo

from awfdrs_site.lib.problems import Problem

DEADLINE_SECONDS = 1.5  # of the 2 s that a readiness probe may take
OVERDUE = timedelta(seconds=60)
OK, FAILING = "ok", "failing"

# Parked and awaiting actions are not pending; one that a limit holds has its run_at in the future.
_OLDEST = """
select (select min(received_at) from (
          select received_at from events_pendingevent where poisoned_at is null order by id limit 1) oldest),
       (select min(run_at) from actions_action where status = 'pending'),
       awf_now()
"""
_AS_PIPELINE = "select set_config('role', 'awf_pipeline', true)"


@dataclass
class Probe:
    """One question to one dependency, in a thread of its own: a hung one is given up, not waited for.

    While its last thread still hangs no other is started: probes must not pile up.
    """

    ask: Callable[[], object]
    _under_way: Future[object] | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def start(self) -> Future[object]:
        with self._lock:
            if self._under_way is None or self._under_way.done():
                self._under_way = Future()
                thread = threading.Thread(target=self._run, args=[self._under_way], daemon=True)
                thread.start()
            return self._under_way

    def _run(self, answer: Future[object]) -> None:
        try:
            answer.set_result(self.ask())
        except Exception as failure:  # whatever it is, the one who waits is told
            answer.set_exception(failure)


def _ask_database() -> object:
    with psycopg.connect(_conninfo(), autocommit=True) as database:
        return database.execute("select 1").fetchone()


def _ask_redis() -> object:
    with redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1
    ) as client:
        return client.ping()


def _ask_pipeline() -> object:
    with psycopg.connect(_conninfo()) as database:
        database.execute(_AS_PIPELINE)
        return database.execute(_OLDEST).fetchone()


def _conninfo() -> str:
    at = connection.settings_dict
    return make_conninfo(
        dbname=at["NAME"],
        user=at["USER"],
        password=at["PASSWORD"],
        host=at["HOST"],
        port=at["PORT"],
        connect_timeout=2,
    )


database, cache, pipeline_age = Probe(_ask_database), Probe(_ask_redis), Probe(_ask_pipeline)


@require_safe
def health(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """Redis only wakes and counts: without it we serve, degraded."""
    asked = [database.start(), cache.start()]
    parts = dict(
        zip(("database", "redis"), map(_state, asked, (DEADLINE_SECONDS, 0.3)), strict=True)
    )
    if parts["database"] != OK:
        raise Problem("unavailable", "The database does not answer.", retry_after=1, **parts)
    return JsonResponse({"status": "ready" if parts["redis"] == OK else "degraded", **parts})


@never_cache
@require_safe
def pipeline(request: HttpRequest) -> HttpResponse:
    try:
        received_at, due_at, now = pipeline_age.start().result(DEADLINE_SECONDS)  # type: ignore[misc]
    except Exception:
        raise Problem("unavailable", "The database does not answer.", retry_after=1) from None
    ages = {
        "oldest_undigested_seconds": _seconds(received_at, now),
        "oldest_overdue_seconds": _seconds(due_at, now),
    }
    late = [name for name, seconds in ages.items() if seconds > OVERDUE.total_seconds()]
    if late:
        raise Problem("unavailable", "Work waits too long.", retry_after=5, late=late, **ages)
    return JsonResponse({"status": "ok", **ages})


def _state(asked: Future[object], seconds: float) -> str:
    try:
        asked.result(seconds)
    except Exception:
        return FAILING
    return OK


def _seconds(since: object, now: object) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0  # type: ignore[operator]
