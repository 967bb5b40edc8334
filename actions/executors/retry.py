"""The retry webhook: asks the workflow to run again, signed, with one idempotency key for all attempts."""

import json
from dataclasses import replace

from django.conf import settings

from actions import signing, transport
from actions.executors.base import Call, Result
from awfdrs_site.lib import clock

RETRYABLE = frozenset({408, 425, 429})


def perform(call: Call) -> Result:
    """Send once. 2xx accepted; 408/425/429/5xx retryable; other answers final; unseen ones `unknown`."""
    if call.refusal:
        return Result("final", error=call.refusal)
    body = json.dumps(dict(call.body), ensure_ascii=False, separators=(",", ":")).encode()
    now = clock.read()
    request = transport.OutgoingRequest(
        method="POST",
        url=call.url,
        headers={
            **signing.headers(
                message_id=str(call.action_id), at=now, body=body, secrets=call.secrets
            ),
            **call.headers,
        },
        body=body,
        deadline_seconds=call.deadline_seconds,
    )
    try:
        answer = transport.send(request, allow_cidrs=settings.OUTBOUND_ALLOW_CIDRS)
    except transport.Refused as refused:
        return Result("final", error=str(refused))
    except transport.NotSent as not_sent:
        return Result("retryable", error=str(not_sent), says_vendor_is="failure")
    except transport.OutcomeUnknown as unknown:
        return Result("unknown", error=str(unknown), says_vendor_is="failure")
    return _judge(answer)


def _judge(answer: transport.Answer) -> Result:
    status = answer.status
    seen = Result(
        "succeeded",
        response_status=status,
        excerpt=answer.excerpt,
        latency_ms=int(answer.latency_ms),
        says_vendor_is="success",
    )
    if 200 <= status < 300:
        return seen
    if status in RETRYABLE or status >= 500:
        after = transport.retry_after_seconds(
            answer.headers.get("retry-after", ""), now=clock.read()
        )
        return replace(
            seen,
            ending="retryable",
            error=f"The workflow answered {status}.",
            retry_after_seconds=after,
            says_vendor_is="failure",
        )
    redirect = " Redirects are not followed." if 300 <= status < 400 else ""
    error = f"The workflow answered {status}.{redirect}"
    return replace(seen, ending="final", error=error, says_vendor_is="ignored")
