"""How a workflow is called: signed, through the guarded transport, and what its answer means for the attempt."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.conf import settings

from actions import retry, signing, transport
from actions.executors.base import Call, Result
from awfdrs_site.lib import clock, tracing


def post(call: Call) -> Result:
    """Send once. 2xx accepted; 408/425/429/5xx retryable; other answers final; unseen ones `unknown`."""
    if call.refusal:
        return Result("final", error=call.refusal)
    try:
        answer = send(call)
    except transport.Refused as refused:
        return Result("final", error=str(refused))
    except transport.NotSent as not_sent:
        return Result("retryable", error=str(not_sent), says_vendor_is="failure")
    except transport.OutcomeUnknown as unknown:
        return Result("unknown", error=str(unknown), says_vendor_is="failure")
    return _judge(answer)


def as_recorded(status: str, response_status: int | None, error: str, *, is_final: bool) -> Result:
    """What an attempt that was kept meant. `is_final`: for what no answer tells, whether it was given up after it."""
    if response_status is not None:
        return _judge(
            transport.Answer(status=response_status, headers={}, excerpt="", latency_ms=0)
        )
    if status == "succeeded":
        return Result("succeeded", says_vendor_is="success")
    if status == "unknown":
        return Result("unknown", error=error, says_vendor_is="failure")
    if is_final:
        return Result("final", error=error)
    return Result("retryable", error=error, says_vendor_is="failure")


def send(call: Call, *, method: str = "POST") -> transport.Answer:
    """The signed request itself, and whatever comes back. Raises what the transport raises."""
    body = _encoded(call.body) if method == "POST" else b""
    signature = signing.headers(
        message_id=call.message_id or str(call.action_id),
        at=clock.read(),
        body=body,
        secrets=call.secrets,
    )
    request = transport.OutgoingRequest(
        method=method,
        url=call.url,
        headers={**signature, **call.headers, **tracing.headers()},
        body=body,
        deadline_seconds=call.deadline_seconds,
    )
    return transport.send(request, allow_cidrs=settings.OUTBOUND_ALLOW_CIDRS)


def _encoded(body: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(body), ensure_ascii=False, separators=(",", ":")).encode()


def _judge(answer: transport.Answer) -> Result:
    seen = Result(
        "succeeded",
        response_status=answer.status,
        excerpt=answer.excerpt,
        latency_ms=int(answer.latency_ms),
        says_vendor_is="success",
    )
    if answer.is_accepted:
        return seen
    error = answer.told_by("The workflow")
    if answer.is_retryable:
        return replace(
            seen,
            ending="retryable",
            error=error,
            retry_after_seconds=_retry_after(answer),
            says_vendor_is="failure",
        )
    return replace(seen, ending="final", error=error, says_vendor_is="ignored")


def _retry_after(answer: transport.Answer) -> float | None:
    said = answer.headers.get("retry-after")
    return None if said is None else retry.parse_retry_after(said, now=clock.read())
