"""Metrics: every promised name from the start, what rows tell, and only for those who may read them."""

import subprocess
import sys
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings
from prometheus_client.parser import text_string_to_metric_families

from awfdrs_site.lib import metrics
from safety import budget
from tenants import scoping
from tenants.models import Tenant
from tests.cast import decide_all, digest_all, key_of, post_event, submit
from tests.factories import ActionFactory, AttemptFactory, BreakerFactory, VendorFactory
from tests.support.problem_answers import members

pytestmark = pytest.mark.django_db
# reference/original-facts.md
PROMISED = """http_requests_total http_request_duration_seconds events_ingested_total events_rejected_total
    incidents_detected_total incident_detection_duration_seconds actions_executed_total action_success_rate
    circuit_breaker_state circuit_breaker_transitions_total rate_limiter_rejections_total retry_attempts_total
    db_connection_pool_size db_query_duration_seconds redis_connections_total redis_operation_duration_seconds
    process_cpu_usage_percent process_memory_usage_bytes gc_duration_seconds ingestion_latency_seconds
    idempotency_duplicates_total incidents_by_severity incident_detection_latency_seconds
    incident_event_count_distribution retry_attempts_distribution escalations_total safety_limits_exceeded_total
    ai_decisions_total ai_confidence_distribution ai_api_calls_total ai_cost_dollars_total"""


def read(client: Client) -> str:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return answer.content.decode()


def value(text: str, name: str, **labels: str) -> float:
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_a_process_that_died_while_it_made_its_file_breaks_nothing(client: Client) -> None:
    stillborn = metrics.DIRECTORY / "counter_999999.db"
    stillborn.touch()
    try:
        assert "http_requests_total" in read(client)
    finally:
        stillborn.unlink()


def test_every_promised_name_is_there_with_a_sample_from_the_start(client: Client) -> None:
    names = {line.split("{")[0].split(" ")[0] for line in read(client).splitlines()}
    for name in PROMISED.split():
        assert {name, f"{name}_count"} & names, name


def test_what_the_doors_count_carries_the_originals_labels(client: Client, acme: Tenant) -> None:
    token = key_of(acme)
    for key in ("one", "one", "two"):
        post_event(token, idempotency_key=key, occurred_at="2026-01-19T10:00:00Z")
    post_event(token, event_type="No!")
    text, mine = read(client), {"tenant_id": str(acme.pk)}
    ingested = {"workflow_id": "checkout", "event_type": "payment.failed"}
    assert value(text, "events_ingested_total", **mine, **ingested) == 2
    assert value(text, "idempotency_duplicates_total", **mine) == 1
    assert value(text, "events_rejected_total", **mine, reason="validation_failed") == 1


def test_rows_tell_what_workers_did(client: Client, acme: Tenant) -> None:
    submit(acme, run_id="a")
    digest_all()
    decide_all()
    vendor = VendorFactory(tenant=acme, name="sendgrid")
    BreakerFactory(tenant=acme, vendor=vendor, state="half_open", epoch=7)
    now = {"status": "completed", "settled_at": "2026-01-01T00:00:00Z"}
    AttemptFactory(tenant=acme, action=ActionFactory(tenant=acme, **now), status="succeeded")
    with scoping.bound(acme.pk) as moment:
        budget.spend(vendor, is_of_campaign=False, now=moment)
        budget.hear(vendor, 4, now=moment)
    text, mine = read(client), {"tenant_id": str(acme.pk)}
    assert value(text, "incidents_detected_total", **mine, severity="high") == 1
    assert value(text, "incidents_by_severity", **mine, severity="high") == 1
    assert value(text, "ai_decisions_total", **mine) == 1
    assert value(text, "circuit_breaker_state", **mine, vendor="sendgrid", state="half_open") == 2
    assert value(text, "circuit_breaker_transitions_total", **mine, vendor="sendgrid") == 7
    assert value(text, "retry_attempts_total", **mine, attempt_number="1", result="succeeded") == 1
    assert value(text, "retry_amplification", **mine, vendor="sendgrid") == 1.25
    executed = {"tenant": str(acme.pk), "action_type": "retry", "status": "completed"}
    assert value(text, "actions_executed_total", **executed) == 1


def test_what_another_process_counts_is_included(client: Client) -> None:
    label = "from another process"
    before = value(read(client), "safety_limits_exceeded_total", limit_type=label)
    script = (
        "from django.conf import settings; settings.configure(AWFDRS_DATA={data!r});"
        "from awfdrs_site.lib import metrics;"
        "metrics.SAFETY_LIMITS.labels('t', {label!r}).inc(3)"
    )
    data = str(metrics.DIRECTORY.parent)
    subprocess.run([sys.executable, "-c", script.format(data=data, label=label)], check=True)
    after = value(read(client), "safety_limits_exceeded_total", limit_type=label)
    assert after == before + 3


@pytest.mark.parametrize(
    ("extra", "status"),
    [
        ({"REMOTE_ADDR": "127.0.0.1"}, 200),
        ({"REMOTE_ADDR": "203.0.113.7"}, 401),
        # a proxy at our side speaks for somebody who is not
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.7"}, 401),
        ({"REMOTE_ADDR": "203.0.113.7", "HTTP_AUTHORIZATION": "Bearer the-token"}, 200),
        ({"REMOTE_ADDR": "203.0.113.7", "HTTP_AUTHORIZATION": "Bearer thé-token"}, 401),
        ({"REMOTE_ADDR": "203.0.113.7", "HTTP_AUTHORIZATION": "Bearer "}, 401),
    ],
)
@override_settings(METRICS_TOKEN="the-token")
def test_only_loopback_and_the_token_may_read(
    client: Client, extra: dict[str, Any], status: int
) -> None:
    assert client.get("/metrics", **extra).status_code == status


@override_settings(METRICS_TOKEN="")
def test_no_token_is_not_an_empty_token(client: Client) -> None:
    answer = client.get("/metrics", REMOTE_ADDR="203.0.113.7", HTTP_AUTHORIZATION="Bearer ")
    assert members(answer)["code"] == "unauthenticated"


@override_settings(ENABLE_METRICS=False)
def test_metrics_can_be_switched_off(client: Client) -> None:
    assert client.get("/metrics").status_code == 404


def test_callers_cannot_make_series_without_end() -> None:
    words = metrics.Vocabulary(2)
    assert [words.known(word) for word in ("a", "b", "c", "a")] == ["a", "b", "other", "a"]


def test_the_middleware_counts_by_route_never_by_path(client: Client, rf: RequestFactory) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=204)

    labels = {"method": "OTHER", "endpoint": "none", "status_code": "204"}
    before = value(read(client), "http_requests_total", **labels)
    request = rf.generic("BREW", "/api/v1/incidents/no-such-path")
    request.resolver_match = None
    metrics.MetricsMiddleware(view)(request)
    after = read(client)
    assert value(after, "http_requests_total", **labels) == before + 1
    assert "no-such-path" not in after


def test_work_that_waits_or_that_nobody_saw_end_is_told(client: Client, acme: Tenant) -> None:
    submit(acme, run_id="a")
    ActionFactory(tenant=acme, status="unknown")
    text = read(client)
    assert value(text, "event_backlog_seconds") > 0
    assert value(text, "unknown_actions", tenant_id=str(acme.pk)) == 1
    assert "\nlease_expiries_total" in text


def test_tenants_can_be_left_out_and_are_added_up(
    client: Client, acme: Tenant, globex: Tenant
) -> None:
    for tenant, state in ((acme, "closed"), (globex, "open")):
        vendor = VendorFactory(tenant=tenant, name="sendgrid")
        BreakerFactory(tenant=tenant, vendor=vendor, state=state, epoch=2)
        ActionFactory(tenant=tenant, status="unknown")
    with override_settings(METRICS_TENANT_LABELS=False):
        text = read(client)
    assert str(acme.pk) not in text
    assert value(text, "unknown_actions") == 2
    # of states the worst tells: a sum would be one that there is not
    assert value(text, "circuit_breaker_state", vendor="sendgrid", state="open") == 1
    assert value(text, "circuit_breaker_transitions_total", vendor="sendgrid") == 4
