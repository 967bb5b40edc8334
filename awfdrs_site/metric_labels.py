"""The only place that leaves tenants out of /metrics, for installations where they would make too many series."""

from collections import defaultdict
from collections.abc import Iterable

from django.conf import settings
from prometheus_client.metrics_core import Metric

_OF_TENANTS = frozenset({"tenant_id", "tenant"})
_NOT_TO_ADD = frozenset({"circuit_breaker_state", "retry_amplification"})  # the worst tells


def chosen(family: Metric) -> Metric:
    """The family as METRICS_TENANT_LABELS wants it."""
    is_apart = settings.METRICS_TENANT_LABELS or not any(
        _OF_TENANTS & sample.labels.keys() for sample in family.samples
    )
    return family if is_apart else _together(family)


def _together(family: Metric) -> Metric:
    values: dict[tuple[str, tuple[tuple[str, str], ...]], list[float]] = defaultdict(list)
    for sample in family.samples:
        rest = tuple(pair for pair in sample.labels.items() if pair[0] not in _OF_TENANTS)
        values[sample.name, rest].append(sample.value)
    joined = Metric(family.name, family.documentation, family.type)
    for (name, rest), found in values.items():
        joined.add_sample(name, dict(rest), _one(family.name, found))
    return joined


def _one(name: str, values: Iterable[float]) -> float:
    return max(values) if name in _NOT_TO_ADD else sum(values)
