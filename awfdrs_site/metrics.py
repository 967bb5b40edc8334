"""The only place that answers /metrics: what processes counted, and what rows tell when asked."""

import hmac
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psutil
from django.conf import settings
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from awfdrs_site import health, outages
from awfdrs_site.lib import metrics
from awfdrs_site.lib.problems import Problem
from tenants import scoping

LOOPBACK = ("127.0.0.1", "::1")
_FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP")  # whoever sends these is not at our side
_process = psutil.Process()


@dataclass(frozen=True)
class Read:
    """One metric that rows tell: labels come first in each row of the answer, the value last."""

    name: str
    kind: type[CounterMetricFamily | GaugeMetricFamily]
    text: str
    labels: Sequence[str]
    sql: str


@dataclass(frozen=True)
class Spread:
    """One distribution that rows tell: `value` over `source`, without labels."""

    name: str
    text: str
    buckets: Sequence[float]
    value: str
    source: str


READS = (
    Read(
        "incidents_detected",
        CounterMetricFamily,
        "Incidents opened.",
        ("tenant_id", "workflow_id", "severity"),
        """
        select tenant_id, workflow_id, severity, count(*) from incidents_incident
        where not is_storm group by 1, 2, 3
        """,
    ),
    Read(
        "incidents_by_severity",
        GaugeMetricFamily,
        "Open incidents.",
        ("tenant_id", "severity"),
        """
        select tenant_id, severity, count(*) from incidents_incident
        where status in ('detected', 'analyzing', 'escalated') and not is_storm group by 1, 2
        """,
    ),
    Read(
        "actions_executed",
        CounterMetricFamily,
        "Actions that ended.",
        ("tenant", "action_type", "status"),
        """
        select tenant_id, action_type, status, count(*) from actions_action
        where settled_at is not null group by 1, 2, 3
        """,
    ),
    Read(
        "action_success_rate",
        GaugeMetricFamily,
        "Share of the last hour's ended actions that completed.",
        (),
        """
        select coalesce(avg((status = 'completed')::int), 0)::float8 from actions_action
        where settled_at > awf_now() - interval '1 hour'
        """,
    ),
    Read(
        "circuit_breaker_state",
        GaugeMetricFamily,
        "0 closed, 1 open, 2 half open.",
        ("tenant_id", "vendor", "state"),
        """
        select breaker.tenant_id, vendor.name, breaker.state,
               array_position(array['closed', 'open', 'half_open'], breaker.state::text) - 1
        from safety_circuitbreaker breaker join tenants_vendor vendor
          on vendor.tenant_id = breaker.tenant_id and vendor.id = breaker.vendor_id
        """,
    ),
    Read(
        "parked_actions",
        GaugeMetricFamily,
        "Actions that kill switches or paused campaigns hold.",
        ("tenant_id", "action_type"),
        """
        select tenant_id, action_type, count(*) from actions_action
        where status = 'parked' group by 1, 2
        """,
    ),
    Read(
        # every move of a breaker starts a new epoch
        "circuit_breaker_transitions",
        CounterMetricFamily,
        "Moves of breakers.",
        ("tenant_id", "vendor"),
        """
        select breaker.tenant_id, vendor.name, breaker.epoch
        from safety_circuitbreaker breaker join tenants_vendor vendor
          on vendor.tenant_id = breaker.tenant_id and vendor.id = breaker.vendor_id
        """,
    ),
    Read(
        "retry_attempts",
        CounterMetricFamily,
        "Attempts of retries.",
        ("tenant_id", "attempt_number", "result"),
        """
        select attempt.tenant_id, attempt.number::text, attempt.status, count(*)
        from actions_attempt attempt join actions_action action
          on action.tenant_id = attempt.tenant_id and action.id = attempt.action_id
        where action.action_type = 'retry' group by 1, 2, 3
        """,
    ),
    Read(
        "retry_amplification",
        GaugeMetricFamily,
        "Calls of the last hour for each that a workflow made by itself: 1 is no retry; campaigns are apart.",
        ("tenant_id", "vendor"),
        """
        select counted.tenant_id, vendor.name,
               1 + sum(counted.retries)::float8 / greatest(sum(counted.originals), 1)
        from safety_vendorminute counted join tenants_vendor vendor
          on vendor.tenant_id = counted.tenant_id and vendor.id = counted.vendor_id
        where counted.at > date_trunc('minute', awf_now()) - interval '1 hour' group by 1, 2
        """,
    ),
    Read(
        "escalations",
        CounterMetricFamily,
        "Escalations planned.",
        ("tenant_id",),
        """
        select tenant_id, count(*) from actions_action where action_type = 'escalate' group by 1
        """,
    ),
    Read(
        "escalations_overdue",
        GaugeMetricFamily,
        "Escalations whose next step is more than two minutes late.",
        (),
        """
        select count(*) from actions_escalation
        where ended_at is null and next_at < awf_now() - interval '2 minutes'
        """,
    ),
    Read(
        "deliveries_overdue",
        GaugeMetricFamily,
        "Messages that should have gone out more than ten minutes ago.",
        (),
        """
        select count(*) from actions_delivery
        where status = 'pending' and due_at < awf_now() - interval '10 minutes'
        """,
    ),
    Read(
        "ai_decisions",
        CounterMetricFamily,
        "Decisions made.",
        ("tenant_id", "kind", "choice"),
        "select tenant_id, kind, choice, count(*) from incidents_decision group by 1, 2, 3",
    ),
    Read(
        "oldest_undigested_event_seconds",
        GaugeMetricFamily,
        "Age of the oldest event that waits to be digested.",
        (),
        """
        select coalesce(extract(epoch from awf_now() - min(received_at)), 0)::float8
        from events_pendingevent where poisoned_at is null
        """,
    ),
)
SPREADS = (
    Spread(
        "incident_event_count_distribution",
        "Events per incident.",
        (1, 2, 5, 10, 50, 100, 1000, 10_000),
        "event_count",
        "incidents_incident where not is_storm",  # a storm groups and does not count
    ),
    Spread(
        "retry_attempts_distribution",
        "Attempts per ended retry.",
        (0, 1, 2, 3, 5, 10),
        "attempts_made",
        "actions_action where action_type = 'retry' and settled_at is not null",
    ),
    Spread(
        "ai_confidence_distribution",
        "Confidence of decisions.",
        (0.1, 0.3, 0.5, 0.7, 0.9, 1),
        "confidence",
        "incidents_decision",
    ),
    Spread(
        # a signature's first event and its incident's opening, by the clock of the database
        "incident_detection_latency_seconds",
        "From an incident's first event until it was opened, within the last hour.",
        (0.1, 0.5, 1, 2, 5, 10, 30),
        "extract(epoch from incident.opened_at - event.received_at)",
        """
        incidents_incident incident join events_event event
          on event.tenant_id = incident.tenant_id and event.id = incident.last_event_id
        where incident.event_count = 1 and incident.opened_at > awf_now() - interval '1 hour'
        """,
    ),
)


@never_cache
@require_safe
def exposition(request: HttpRequest) -> HttpResponse:
    if not settings.ENABLE_METRICS:
        raise Http404
    if not _may_read(request):
        raise Problem("unauthenticated", "Metrics are for loopback or the metrics token.")
    registry = CollectorRegistry()
    registry.register(Everything())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class Everything:
    """Counted, read and measured; what nobody has counted yet stands at zero."""

    def collect(self) -> Iterator[Metric]:
        seen = set()
        for family in (*metrics.counted().collect(), *_read(), *_measured()):
            seen.add(family.name)
            yield _never_empty(family)
        for family in metrics.defined().collect():
            if family.name not in seen:
                yield _never_empty(family)


def _may_read(request: HttpRequest) -> bool:
    given = request.headers.get("Authorization", "").encode()
    token: str = settings.METRICS_TOKEN
    if token and hmac.compare_digest(given, f"Bearer {token}".encode()):
        return True
    is_forwarded = any(name in request.headers for name in _FORWARDED)
    return request.META.get("REMOTE_ADDR") in LOOPBACK and not is_forwarded


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
