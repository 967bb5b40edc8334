"""The only place that answers /metrics: what processes counted, and what rows tell when asked."""

import hmac
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import psutil
from django.conf import settings
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from awfdrs_site import health, metric_labels, outages
from awfdrs_site.lib import metrics
from awfdrs_site.lib.problems import Problem
from awfdrs_site.metric_rows import READS, SPREADS, Spread
from tenants import scoping


class Headers(Protocol):
    """Of Django's requests and of the standard library's."""

    def get(self, name: str, default: str) -> str: ...
    def __contains__(self, name: str) -> bool: ...


LOOPBACK = ("127.0.0.1", "::1")
_FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP")  # whoever sends these is not at our side
_process = psutil.Process()


@never_cache
@require_safe
def exposition(request: HttpRequest) -> HttpResponse:
    if not settings.ENABLE_METRICS:
        raise Http404
    if not may_read(address=request.META.get("REMOTE_ADDR", ""), headers=request.headers):
        raise Problem("unauthenticated", "Metrics are for loopback or the metrics token.")
    registry = CollectorRegistry()
    registry.register(Everything())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class Everything:
    """Counted, read and measured; what nobody has counted yet stands at zero."""

    def collect(self) -> Iterator[Metric]:
        seen = set()
        for family in (*metrics.counted().collect(), *self.told(), *_measured()):
            seen.add(family.name)
            yield _never_empty(metric_labels.chosen(family))
        for family in metrics.defined().collect():
            if family.name not in seen:
                yield _never_empty(family)

    def told(self) -> Iterable[Metric]:
        """What rows tell: the same whoever is asked."""
        return _read()


class Counted(Everything):
    """Of a worker: what rows tell is for web processes to say, once."""

    def told(self) -> Iterable[Metric]:
        return ()


def may_read(*, address: str, headers: Headers) -> bool:
    """Who has the token, and who asks from our side."""
    given = headers.get("Authorization", "").encode()
    token: str = settings.METRICS_TOKEN
    if token and hmac.compare_digest(given, f"Bearer {token}".encode()):
        return True
    return address in LOOPBACK and not any(name in headers for name in _FORWARDED)


def _read() -> Iterable[Metric]:
    with scoping.pipeline(), connection.cursor() as cursor:
        families: list[Metric] = []
        for one in READS:
            cursor.execute(one.sql)
            family = one.kind(one.name, one.text, labels=one.labels)
            for *labels, value in cursor.fetchall():
                family.add_metric([str(label) for label in labels], float(value))
            families.append(family)
        for spread in SPREADS:
            cursor.execute(_spread_sql(spread))
            families.append(_histogram(spread, cursor.fetchone()))
    return families


def _spread_sql(spread: Spread) -> str:
    """Constants of this file only: nothing of a request comes near it."""
    value = f"({spread.value})::float8"
    cumulative = ", ".join(f"count(*) filter (where {value} <= {top})" for top in spread.buckets)
    return f"select {cumulative}, count(*), coalesce(sum({value}), 0) from {spread.source}"  # noqa: S608


def _histogram(spread: Spread, row: Any) -> Metric:
    *cumulative, count, total = row
    buckets = [(str(top), n) for top, n in zip(spread.buckets, cumulative, strict=True)]
    return HistogramMetricFamily(
        spread.name, spread.text, buckets=[*buckets, ("+Inf", count)], sum_value=total
    )


def _measured() -> Iterator[Metric]:
    """What only this process and its neighbours can say of themselves."""
    yield _gauge("process_cpu_usage_percent", "CPU of this process.", _process.cpu_percent(None))
    memory = _process.memory_info().rss
    yield _gauge("process_memory_usage_bytes", "Resident memory of this process.", memory)
    pool = getattr(connection, "pool", None)
    size = pool.get_stats().get("pool_size", 0) if pool else 1
    yield _gauge("db_connection_pool_size", "Connections that this process keeps.", size)
    yield _gauge("redis_connections_total", "Clients that Redis serves.", health.redis_clients())
    yield _gauge(
        "redis_up", "1 while Redis answers; without it we serve, degraded.", outages.redis_up()
    )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _never_empty(family: Metric) -> Metric:
    """A metric nobody has a sample of is at zero, and a scraper shall know its name from the start."""
    if not family.samples:
        suffix = {"counter": "_total", "histogram": "_count"}.get(family.type, "")
        family.add_sample(family.name + suffix, {}, 0)
    return family
