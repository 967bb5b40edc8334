"""The only place that defines metrics: the original's names and labels, counted over all processes of a machine.

Web and worker processes write into files of one directory, and whoever is asked for /metrics adds them up. What
rows can tell is not counted here but read when asked (`awfdrs_site.metrics`).
"""

import gc
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse

DIRECTORY = Path(settings.AWFDRS_DATA) / "metrics"
DIRECTORY.mkdir(parents=True, exist_ok=True)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(DIRECTORY)  # the library reads it when imported

from prometheus_client import CollectorRegistry, Counter, Histogram, multiprocess  # noqa: E402
from prometheus_client.registry import Collector  # noqa: E402

if TYPE_CHECKING:
    from prometheus_client import Metric

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
FAST = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

_registry = CollectorRegistry()


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(name, text, labels, registry=_registry)


def _histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...] = FAST) -> Histogram:
    return Histogram(name, text, labels, buckets=buckets, registry=_registry)


HTTP_REQUESTS = _counter(
    "http_requests_total", "HTTP requests.", "method", "endpoint", "status_code", "tenant_id"
)
HTTP_SECONDS = _histogram(
    "http_request_duration_seconds",
    "Time to answer an HTTP request.",
    "method",
    "endpoint",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
EVENTS_INGESTED = _counter(
    "events_ingested_total", "Events stored.", "tenant_id", "workflow_id", "event_type"
)
EVENTS_REJECTED = _counter(
    "events_rejected_total", "Events refused.", "tenant_id", "workflow_id", "event_type", "reason"
)
INGESTION_SECONDS = _histogram("ingestion_latency_seconds", "Time to store events of one request.")
DUPLICATES = _counter(
    "idempotency_duplicates_total", "Events that were stored before.", "tenant_id"
)
RATE_LIMITED = _counter(
    "rate_limiter_rejections_total", "Refused by a rate limit.", "tenant_id", "limit_type"
)
RATE_LIMITED_ALONE = _counter(
    "rate_limiter_fallbacks_total", "Judged by a process alone: Redis did not answer."
)
SAFETY_LIMITS = _counter(
    "safety_limits_exceeded_total", "Actions held by a limit.", "tenant_id", "limit_type"
)
DETECTION_SECONDS = _histogram(
    "incident_detection_duration_seconds",
    "Time to digest one batch of events.",
    buckets=(0.1, 0.5, 1, 2, 5, 10, 30),
)
DATABASE_SECONDS = _histogram("db_query_duration_seconds", "Time of one database statement.")
GC_SECONDS = _histogram("gc_duration_seconds", "Time of one full garbage collection.")
REDIS_SECONDS = _histogram("redis_operation_duration_seconds", "Time of one Redis operation.")
REDIS_EPOCHS = _counter(
    "redis_epoch_changes_total", "Times that Redis came back without what it had known."
)
LOG_LINES_DROPPED = _counter(
    "log_lines_dropped_total", "Log lines that found their queue full: nobody reads the log."
)
LEASE_EXPIRIES = _counter(
    "lease_expiries_total", "Work taken over because who held it did not end in time.", "kind"
)
AI_CALLS = _counter(
    "ai_api_calls_total", "Calls to a model: none, the analyst is offline.", "model"
)
AI_COST = _counter("ai_cost_dollars_total", "Spent on models: nothing.", "model")


class Vocabulary:
    """The first words seen; later ones become `other`, so that callers cannot make series without end."""

    def __init__(self, most: int) -> None:
        self._most, self._words = most, set[str]()

    def known(self, word: str) -> str:
        if word not in self._words and len(self._words) >= self._most:
            return "other"
        self._words.add(word)
        return word


EVENT_TYPES = Vocabulary(200)
WORKFLOWS = Vocabulary(500)


@contextmanager
def timed(histogram: Histogram) -> Iterator[None]:
    """Observe how long the block takes, whether or not it succeeds."""
    began = time.perf_counter()
    try:
        yield
    finally:
        histogram.observe(time.perf_counter() - began)


def timed_statement(execute: Callable[..., Any], *statement: Any) -> Any:
    """An execute wrapper of Django's connection."""
    with timed(DATABASE_SECONDS):
        return execute(*statement)


def counted() -> CollectorRegistry:
    """What every process has counted so far, in a registry of its own."""
    together = CollectorRegistry()
    together.register(_Counted())
    return together


class _Counted(Collector):
    """A process that is killed while it makes its file leaves it empty: nothing to read, and no reason to fail."""

    def collect(self) -> "Iterable[Metric]":
        files = [str(file) for file in DIRECTORY.glob("*.db") if file.stat().st_size]
        return multiprocess.MultiProcessCollector.merge(files, accumulate=True)  # type: ignore[no-untyped-call,no-any-return]


def defined() -> CollectorRegistry:
    """Every metric of this file, for the names that nobody has counted yet."""
    return _registry


def forget() -> None:
    """Start from zero: for whoever starts all processes, before any of them counts."""
    for file in DIRECTORY.glob("*.db"):
        file.unlink(missing_ok=True)


class MetricsMiddleware:
    """Counts and times every request by its route, never by its path: ids would make a series each."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        with connection.execute_wrapper(timed_statement):
            response = self.get_response(request)
        seconds = time.perf_counter() - began
        method = request.method if request.method in METHODS else "OTHER"
        endpoint = f"/{request.resolver_match.route}" if request.resolver_match else "none"
        tenant = getattr(request, "tenant", None)
        HTTP_REQUESTS.labels(
            method, endpoint, str(response.status_code), str(tenant.id) if tenant else ""
        ).inc()
        HTTP_SECONDS.labels(method, endpoint).observe(seconds)
        return response


class _FullCollections:
    """Only those of the oldest generation: the others are many and short."""

    began = 0.0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        if info["generation"] < 2:
            return
        if phase == "start":
            self.began = time.perf_counter()
        else:
            GC_SECONDS.observe(time.perf_counter() - self.began)


gc.callbacks.append(_FullCollections())
