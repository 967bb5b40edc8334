"""The only place that tries a workflow's retry_url: one signed call that asks for nothing, and its real answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from actions import calls, transport
from actions.executors import webhook
from actions.executors.base import Call
from awfdrs_site.lib import correlation
from awfdrs_site.lib.ids import uuid7
from tenants import journal, scoping
from tenants.journal import Actor
from tenants.models import Workflow

NO_URL = "The workflow has no retry_url."


@dataclass(frozen=True)
class Trial:
    """What was sent and what really came back; without a `status` no answer came, and `error` says why."""

    request: Mapping[str, Any]
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    excerpt: str = ""
    latency_ms: int | None = None
    error: str = ""

    @property
    def is_accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def call_of(workflow: Workflow, *, now: datetime) -> Call:
    """What would be sent; read in the tenant's block, sent outside it."""
    trial_id = uuid7(now)
    signed_by = calls.signed_by(workflow, now=now)
    return Call(
        tenant_id=workflow.tenant_id,
        action_id=trial_id,
        action_type="test",
        attempt=1,
        correlation_id=correlation.current(),
        idempotency_key=f"test_{trial_id}",
        deadline_seconds=calls.HTTP_DEADLINE_SECONDS,
        url=workflow.retry_url,
        body={"test": True, "workflow": workflow.slug},
        **({"refusal": NO_URL} if not workflow.retry_url else signed_by),
    )


def send(call: Call) -> Trial:
    """Send it now, outside any transaction; within its deadline, and never raising."""
    request = calls.as_request(call)
    if call.refusal:
        return Trial(request, error=call.refusal)
    try:
        answer = webhook.send(call)
    except (transport.Refused, transport.NotSent, transport.OutcomeUnknown) as failure:
        return Trial(request, error=str(failure))
    return Trial(
        request, answer.status, answer.headers, answer.excerpt, int(answer.latency_ms), error=""
    )


def run(workflow: Workflow, *, by: Actor) -> Trial:
    """Read, send, and say in the journal that it was tried. Needs no block around it."""
    with scoping.bound(workflow.tenant_id, durable=True) as now:
        call = call_of(workflow, now=now)
    trial = send(call)
    with scoping.bound(workflow.tenant_id, durable=True) as now:
        told = {"status": trial.status, "error": trial.error, "latency_ms": trial.latency_ms}
        heard = {name: value for name, value in told.items() if value not in ("", None)}
        journal.record(workflow, "tested", by=by, at=now, slug=workflow.slug, **heard)
    return trial
