"""What is planted in bodies, headers, URLs and exceptions is in no metric, no trace and no column of errors (M54)."""

import ipaddress
import re
from uuid import uuid4

import pytest
from django.apps import apps
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pytest_django import Settings

from actions.executors import webhook
from actions.executors.base import Call
from awfdrs_site import self_reports
from awfdrs_site.lib import failures, sweeping, tracing
from events import ingest
from tenants import scoping
from tenants.models import Tenant, TenantOwned
from tests.cast import Api, event, key_of
from tests.site.test_planted_secrets import ERRORS, SECRETS, WORD
from tests.support.receiver import Receiver, Reply

pytestmark = pytest.mark.django_db

_COLUMN_OF_ERRORS = re.compile(r"error|excerpt|reason|detail|note|why", re.IGNORECASE)


def told_in_columns(tenant_id: object) -> list[str]:
    """Where a tenant's rows hold the word, among the columns that say what went wrong."""
    found = []
    with scoping.bound(tenant_id):  # type: ignore[arg-type]
        for model in apps.get_models():
            named = [f.name for f in model._meta.fields if _COLUMN_OF_ERRORS.search(f.name)]
            if not named or not issubclass(model, TenantOwned):
                continue
            for row in model.objects.for_tenant(tenant_id).values(*named):
                found += [f"{model.__name__}: {row}"] if WORD in str(row).lower() else []
    return found


def test_what_is_planted_is_in_no_metric_trace_or_column_of_errors(
    acme: Tenant, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ENABLE_TRACING = True
    settings.OUTBOUND_ALLOW_CIDRS = [ipaddress.ip_network("127.0.0.1/32")]
    exporter = InMemorySpanExporter()
    tracing.start(exporter=exporter)
    api, say = Api(key_of(acme)), SECRETS.__getitem__
    payload = {"password": say("payload_password"), "error_message": say("payload_error_message")}
    headers = {"X-Api-Key": say("header_api_key"), "X-Custom": say("header_custom")}
    assert api.post("/api/v1/events", event(payload=payload), **headers).status_code == 201
    api.client.post("/api/v1/events", say("bad_body"), content_type="application/json")
    api.post("/api/v1/events", event(payload=payload) | {"workflow": 7}, **headers)
    api.get(f"/api/v1/incidents?token={say('query_token')}&q={say('query_any')}", **headers)
    said = []
    with Receiver({"/echo": Reply(status=500, body=say("whsec").encode())}) as receiver:
        for url in (
            receiver.url(f"/echo?sig={say('url_query')}"),
            f"http://127.0.0.1:1/x?sig={say('url_query')}",
            f"https://ann:{say('url_userinfo')}@db.example.org/",
        ):
            said.append(webhook.post(_calling(url)))
    for error in ERRORS:

        def breaks(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        with monkeypatch.context() as broken:
            broken.setattr(ingest, "store", breaks)
            api.post("/api/v1/events", event(), **headers)
        failures._noted.clear()  # each is a kind of its own here
        sweeping.each([("item",)], breaks)
    self_reports.report_due()
    tracing.stop()

    spans = "".join(span.to_json() for span in exporter.get_finished_spans())
    metrics = api.client.get("/metrics").content.decode()
    # there is something to look through, and it would be found
    assert '"event"' in spans
    assert "events_ingested_total" in metrics
    assert [one.response_status for one in said] == [500, None, None]
    found = {name: WORD in text.lower() for name, text in {"s": spans, "m": metrics}.items()}
    assert found == {"s": False, "m": False}
    assert WORD not in "".join(f"{one.error} {one.excerpt}" for one in said).lower()
    assert told_in_columns(acme.pk) == told_in_columns(self_reports.SYSTEM_ID) == []


def _calling(url: str) -> Call:
    return Call(
        tenant_id=uuid4(),
        action_id=uuid4(),
        action_type="retry",
        attempt=1,
        correlation_id="c",
        idempotency_key="k",
        deadline_seconds=5,
        url=url,
        secrets=("whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz",),
    )
