"""Whether we live, whether we can serve, whether work flows: each answers in time, whatever hangs."""

import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

import psycopg
import redis
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from drf_spectacular.utils import extend_schema
from psycopg.conninfo import make_conninfo
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from actions import claiming
from awfdrs_site.lib import api_errors
from awfdrs_site.lib.epoch import Epoch
from awfdrs_site.lib.openapi import ContractSchema
from awfdrs_site.lib.problems import Problem
from tenants.serializers import ProblemSerializer

DEADLINE_SECONDS = 1.5  # of the 2 s that a readiness probe may take
LATE_SECONDS = 60
OK, FAILING = "ok", "failing"

# Parked and awaiting actions are not pending; one that a limit holds has its run_at in the future, and one that waits
# for a place among the calls under way is not asked for.
_OLDEST = f"""
select (select received_at from events_pendingevent where poisoned_at is null order by id limit 1),
       ({claiming.OLDEST}),
       (select next_at from actions_escalation where ended_at is null and next_at is not null
        order by next_at, id limit 1),
       awf_now()
"""  # noqa: S608  # of constants
_AS_PIPELINE = "select set_config('role', 'awf_pipeline', true)"


@dataclass
class Probe:
    """One question to one dependency, in a thread of its own: a hung one is given up, not waited for.

    While its last thread still hangs no other is started: probes must not pile up.
    """

    ask: Callable[[], Any]
    _under_way: Future[Any] | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def start(self) -> Future[Any]:
        with self._lock:
            if self._under_way is None or self._under_way.done():
                self._under_way = Future()
                thread = threading.Thread(
                    target=self._run, args=[self._under_way], name="probe", daemon=True
                )
                thread.start()
            return self._under_way

    def _run(self, answer: Future[Any]) -> None:
        try:
            answer.set_result(self.ask())
        except Exception as failure:  # whatever it is, the one who waits is told
            answer.set_exception(failure)


class HealthSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=["ok"])


class ReadySerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=["ready", "degraded"])
    database = serializers.ChoiceField(choices=[OK])
    redis = serializers.ChoiceField(choices=[OK, FAILING])


class PipelineSerializer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=["ok"])
    oldest_undigested_seconds = serializers.FloatField()
    oldest_overdue_seconds = serializers.FloatField()
    oldest_untold_seconds = serializers.FloatField()


@method_decorator(never_cache, name="dispatch")
class OpenView(APIView):
    """Nobody is asked who they are, and whatever they accept, they get JSON: probes are not polite."""

    authentication_classes = ()
    http_method_names = ["get", "head"]  # noqa: RUF012  # Django's own shape
    schema = ContractSchema()
    problem = ProblemSerializer
    verbs: ClassVar[Mapping[str, str]] = {"get": "open"}

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        return JSONRenderer(), JSONRenderer.media_type


class Health(OpenView):
    @extend_schema(responses=HealthSerializer)
    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


class Ready(OpenView):
    """Redis only wakes and counts: without it we serve, degraded."""

    @extend_schema(responses=ReadySerializer)
    def get(self, request: Request) -> Response:
        deadline = time.monotonic() + DEADLINE_SECONDS
        asked = {"database": database.start(), "redis": cache.start()}
        parts = {name: _state(answer, deadline) for name, answer in asked.items()}
        if parts["database"] != OK:
            raise _unavailable(parts)
        return Response({"status": "ready" if parts["redis"] == OK else "degraded", **parts})


class Pipeline(OpenView):
    @extend_schema(responses=PipelineSerializer)
    def get(self, request: Request) -> Response:
        ages = _ages()
        if late := _late(ages):
            raise Problem(
                "unavailable", "Work waits too long.", retry_after=5, late=late, ages=ages
            )
        return Response({"status": "ok", **ages})


def late() -> list[str]:
    """What waits longer than it may; raises when the database does not say."""
    return _late(_ages())


def server_error(request: HttpRequest) -> HttpResponse:
    """handler500: what broke before any view, while the caller was looked up, may be the database."""
    failure = sys.exc_info()[1]
    if isinstance(failure, Exception) and api_errors.is_outage(failure):
        return api_errors.bad_request(request, failure)  # it finds the status itself: 503
    return api_errors.server_error(request)


def redis_clients() -> int:
    """How many clients Redis serves; 0 when it does not say so at once."""
    try:
        return int(clients.start().result(0.5))
    except Exception:
        return 0


def ask_database() -> Any:
    with psycopg.connect(_conninfo(), autocommit=True) as asked:
        return asked.execute("select 1").fetchone()


def _ask_redis() -> Any:
    with _redis() as asked:
        epoch.look(asked)
        return True


def _count_redis_clients() -> Any:
    with _redis() as asked:
        return asked.info("clients")["connected_clients"]


def _ask_pipeline() -> Any:
    with psycopg.connect(_conninfo()) as asked:
        asked.execute(_AS_PIPELINE)
        return asked.execute(_OLDEST).fetchone()


database, cache = Probe(ask_database), Probe(_ask_redis)
pipeline, clients = Probe(_ask_pipeline), Probe(_count_redis_clients)
epoch = Epoch()


def _redis() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1)


def _conninfo() -> str:
    """Past the pool: its threads may all be waiting for what is asked about here."""
    at = connection.settings_dict
    return make_conninfo(
        dbname=at["NAME"],
        user=at["USER"],
        password=at["PASSWORD"],
        host=at["HOST"],
        port=at["PORT"],
        connect_timeout=2,
    )


def _unavailable(parts: Mapping[str, str]) -> Problem:
    return Problem(
        "unavailable",
        "The database does not answer.",
        retry_after=1,
        database=parts["database"],
        redis=parts["redis"],
    )


def _state(asked: Future[Any], deadline: float) -> str:
    try:
        asked.result(max(0.0, deadline - time.monotonic()))
    except Exception:
        return FAILING
    return OK


def _ages() -> dict[str, float]:
    try:
        received_at, due_at, tell_at, now = pipeline.start().result(DEADLINE_SECONDS)
    except Exception:
        raise Problem("unavailable", "The database does not answer.", retry_after=1) from None
    return {
        "oldest_undigested_seconds": _seconds(received_at, now),
        "oldest_overdue_seconds": _seconds(due_at, now),
        "oldest_untold_seconds": _seconds(tell_at, now),
    }


def _late(ages: Mapping[str, float]) -> list[str]:
    return [name for name, seconds in ages.items() if seconds > LATE_SECONDS]


def _seconds(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0
